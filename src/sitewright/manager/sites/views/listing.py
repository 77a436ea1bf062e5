"""The list of sites: search as you type, states that update by themselves."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from sitewright.domain.states import Role
from sitewright.manager.pages.live import answer, drawn, wants_piece
from sitewright.manager.pages.view import page, person
from sitewright.manager.sites.access import for_user
from sitewright.manager.sites.present import cards
from sitewright.manager.teams.access import for_user as teams_for

PER_PAGE = 50
PIECE = "sites/rows.html"


@page
@require_GET
def listing(request: HttpRequest) -> HttpResponse:
    """All sites that the person may see; only the rows when htmx asks for them."""
    context = _rows(request)
    if wants_piece(request, "sites"):
        return answer(request, PIECE, context)
    user = person(request)
    context |= {
        "piece": drawn(request, PIECE, context)[0],
        "any_sites": bool(context["query"]) or context["page"].paginator.count > 0,
        "may_create": teams_for(user, Role.DEVELOPER).exists(),
        "manager_url": settings.PLATFORM.url(settings.PLATFORM.manager_host),
        "section": "sites",
    }
    return render(request, "sites/list.html", context)


def _rows(request: HttpRequest) -> dict[str, Any]:
    query = request.GET.get("q", "").strip().lower()[:80]
    sites = for_user(person(request)).filter(name__contains=query).distinct().order_by("name")
    current = Paginator(sites, PER_PAGE).get_page(request.GET.get("page"))
    return {"sites": cards(current.object_list), "page": current, "query": query}
