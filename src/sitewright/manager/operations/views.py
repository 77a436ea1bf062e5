"""Pages about operations: one with its build log, and for administrators all of them beside the state of the platform."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from sitewright.errors import NotFoundError
from sitewright.manager.operations import services
from sitewright.manager.operations.access import for_user, may_change, operation_for, operation_to_change
from sitewright.manager.operations.logs import build_of
from sitewright.manager.operations.models import Operation
from sitewright.manager.operations.platform import node_rows, parts
from sitewright.manager.operations.present import card
from sitewright.manager.pages.live import answer, drawn, wants_piece
from sitewright.manager.pages.output import shown
from sitewright.manager.pages.view import page, person, say, telling
from sitewright.manager.sites.logs import build_log

PER_PAGE = 30
PIECE = "operations/live.html"
BUILD_PIECE = "operations/build.html"


@page
@require_GET
def show(request: HttpRequest, operation_id: str) -> HttpResponse:
    """One operation: its steps, live, and its build's log."""
    operation = operation_for(person(request), operation_id)
    context = _context(request, operation)
    if wants_piece(request, "operation"):
        return answer(request, PIECE, context)
    build = build_of(request, operation)
    if wants_piece(request, "build") and build is None and not context["operation"].final:
        return HttpResponse(status=204)
    if build is not None:
        context |= shown(build_log(build), reverse("operations:log-stream", args=[operation.id]))
    context["build"] = build
    if wants_piece(request, "build"):
        return render(request, BUILD_PIECE, context)
    context |= {"piece": drawn(request, PIECE, context)[0], "section": "sites"}
    return render(request, "operations/operation.html", context)


def _context(request: HttpRequest, operation: Operation) -> dict[str, Any]:
    return {
        "operation": card(operation),
        "may_change": may_change(person(request), operation),
        "site_name": operation.site.name if operation.site else "",
        "here": True,
    }


@page
@require_POST
def cancel(request: HttpRequest, operation_id: str) -> HttpResponse:
    """Ask for its end."""
    operation = operation_to_change(person(request), operation_id)
    with telling(request):
        services.cancel(operation)
        say(request, "It is being cancelled.")
    return _back(request, operation)


@page
@require_POST
def retry(request: HttpRequest, operation_id: str) -> HttpResponse:
    """Queue it again."""
    operation = operation_to_change(person(request), operation_id)
    with telling(request):
        services.retry(operation)
        say(request, "It is tried again.")
    return _back(request, operation)


def _back(request: HttpRequest, operation: Operation) -> HttpResponse:
    """Where the person came from, when that is the list; else the site, or the operation when the site is gone."""
    if request.POST.get("from") == "status":
        return redirect("operations:status")
    if operation.site_id is None:
        return redirect("operations:show", operation.id)
    return redirect("sites:show", operation.site.name if operation.site else operation.site_name)


@page
@require_GET
def status(request: HttpRequest) -> HttpResponse:
    """For administrators: the platform's parts, its nodes, and everything that was asked of it."""
    user = person(request)
    if not user.is_staff:
        raise NotFoundError("There is no such page, or it is not yours to see.")
    current = Paginator(for_user(user).select_related("created_by"), PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "parts": parts(),
        "nodes": node_rows(user),
        "operations": [card(operation) for operation in current.object_list],
        "page": current,
        "section": "status",
    }
    return render(request, "operations/status.html", context)
