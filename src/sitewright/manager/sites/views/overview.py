"""A site's own page, and its timeline."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from sitewright.domain.states import FINAL_OPERATION_STATES, OperationState, Role
from sitewright.manager.audit.access import for_user as events_for
from sitewright.manager.operations.access import for_user as operations_for
from sitewright.manager.operations.models import Operation
from sitewright.manager.operations.present import card as operation_card
from sitewright.manager.pages.live import answer, drawn, wants_piece
from sitewright.manager.pages.view import page, person
from sitewright.manager.releases.access import for_user as releases_for
from sitewright.manager.releases.services import kept_releases
from sitewright.manager.sites.access import channels_for, for_user, instances_for, site_for
from sitewright.manager.sites.models import Channel, Site
from sitewright.manager.sites.present import PRODUCTION, card, release_rows, stack_of
from sitewright.manager.sites.present_life import cron_result, life_of, process_line, trial_card
from sitewright.manager.sites.present_running import canary_out, crons_out, policy_out, scale_out
from sitewright.manager.sites.state import current_operations, is_static
from sitewright.manager.teams.plans import allowance_for

PIECE = "sites/live.html"
HEAD = "sites/head_live.html"
EVENTS_SHOWN = 6
RELEASES_SHOWN = 8
EVENTS_PER_PAGE = 50


def frame(request: HttpRequest, name: str, tab: str, role: Role = Role.VIEWER) -> tuple[Site, dict[str, Any]]:
    """The site, and what head and tabs of its pages show. Raises NotFoundError or ForbiddenError as ``site_for`` does."""
    user = person(request)
    site = site_for(user, name, role)
    roles = {role: for_user(user, role).filter(id=site.id).exists() for role in (Role.DEVELOPER, Role.OWNER)}
    context = {"site": card(site), "tab": tab, "section": "sites", "may_change": roles[Role.DEVELOPER], "may_delete": roles[Role.OWNER]}
    return site, context | {"head": drawn(request, HEAD, context)[0]}


@page
@require_GET
def head(request: HttpRequest, name: str, tab: str) -> HttpResponse:
    """Only the head: what moves on the pages beside the overview, whose forms and lists stay as they were opened."""
    return answer(request, HEAD, frame(request, name, tab)[1])


@page
@require_GET
def show(request: HttpRequest, name: str) -> HttpResponse:
    """Address, state, what is being done, what runs, what happened; only the moving part when htmx asks for it."""
    site, context = frame(request, name, "overview")
    context |= _moving(request, site)
    if wants_piece(request, "site"):
        return answer(request, PIECE, context)
    return render(request, "sites/overview.html", context | {"piece": drawn(request, PIECE, context)[0]})


def _moving(request: HttpRequest, site: Site) -> dict[str, Any]:
    user = person(request)
    channel = channels_for(user).filter(site=site, name=PRODUCTION).distinct().first()
    blueprint = channel.release.blueprint if channel and channel.release else {}
    operation = current_operations([site]).get(site.id) or _left_over(operations_for(user).filter(site=site).distinct())
    return {
        **(_life(channel) if channel else {}),
        "problem": channel.problem if channel else "",
        "operation": operation_card(operation) if operation else None,
        "pace": "1s" if operation and OperationState(operation.state) not in FINAL_OPERATION_STATES else "3s",
        "instances": list(instances_for(user).filter(channel=channel).exclude(state="gone").distinct()),
        "static": channel is not None and is_static(channel),
        "stack": stack_of(blueprint),
        "releases": release_rows(
            releases_for(user).filter(channel=channel).select_related("build").distinct()[:RELEASES_SHOWN],
            kept_releases(channel) if channel else frozenset(),
        ),
        "current_release": channel.release_id if channel else None,
        "trial_release": channel.canary_release_id if channel else None,
        "events": list(events_for(user).filter(site=site).distinct()[:EVENTS_SHOWN]),
    }


def _life(channel: Channel) -> dict[str, Any]:
    """Sleep, processes, trial, cron."""
    allowance = allowance_for(channel.site.team)
    scale = scale_out(channel)
    return {
        "life": life_of(channel, policy_out(channel, allowance)),
        "processes": [process_line(one) for one in scale.items],
        "scale": scale,
        "trial": trial_card(canary_out(channel)),
        "crons": [(one, cron_result(one)) for one in crons_out(channel, allowance)],
    }


def _left_over(operations: QuerySet[Operation]) -> Operation | None:
    """The latest operation when it has left something to decide; a good end needs no panel."""
    latest = operations.first()
    return None if latest is None or latest.state == OperationState.SUCCEEDED.value else latest


@page
@require_GET
def timeline(request: HttpRequest, name: str) -> HttpResponse:
    """All that happened, newest first."""
    site, context = frame(request, name, "timeline")
    events = events_for(person(request)).filter(site=site).distinct()
    context["page"] = Paginator(events, EVENTS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "sites/timeline.html", context)
