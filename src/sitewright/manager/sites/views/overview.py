"""A site's own page, and its timeline."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
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
from sitewright.manager.sites.access import channels_for, for_user, instances_for
from sitewright.manager.sites.models import Channel, Site
from sitewright.manager.sites.present import PRODUCTION, card_of, release_rows, stack_of
from sitewright.manager.sites.present_life import cron_result, life_of, process_line, trial_card
from sitewright.manager.sites.present_running import canary_out, crons_out, policy_out, scale_out
from sitewright.manager.sites.protection import frozen_until
from sitewright.manager.sites.state import current_operation, is_static
from sitewright.manager.sites.views.channel import asked, may_deploy
from sitewright.manager.teams.plans import allowance_for

PIECE = "sites/live.html"
HEAD = "sites/head_live.html"
EVENTS_SHOWN = 6
RELEASES_SHOWN = 8
EVENTS_PER_PAGE = 50


CHANNEL_TABS = {
    "overview": "sites:show",
    "logs": "sites:logs",
    "files": "sites:files",
    "releases": "sites:releases",
    "code": "sites:code",
    "deploy": "sites:deploy",
    "settings": "sites:settings",
}
"""The pages that are about one channel, and can be had for another."""


def frame(request: HttpRequest, name: str, tab: str, role: Role = Role.VIEWER) -> tuple[Site, dict[str, Any]]:
    """The site, and what head and tabs of its pages show. Raises NotFoundError or ForbiddenError as ``site_for`` does."""
    user = person(request)
    channel = asked(request, name, role)
    site = channel.site
    roles = {role: for_user(user, role).filter(id=site.id).exists() for role in (Role.DEVELOPER, Role.OWNER)}
    context = {
        "site": card_of(channel),
        "channel": channel,
        "channels": list(channels_for(user).filter(site=site).distinct().order_by("created_at")),
        "frozen_until": frozen_until(channel),
        "remote": settings.PLATFORM.ssh_url(site.name) or settings.PLATFORM.git_url(site.name),
        "tab": tab,
        "tab_view": CHANNEL_TABS.get(tab, ""),
        "section": "sites",
        "may_change": roles[Role.DEVELOPER],
        "may_delete": roles[Role.OWNER],
        "may_deploy": may_deploy(user, channel),
    }
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
    context = frame(request, name, "overview")[1]
    context |= _moving(request, context["channel"])
    if wants_piece(request, "site"):
        return answer(request, PIECE, context)
    return render(request, "sites/overview.html", context | {"piece": drawn(request, PIECE, context)[0]})


def _moving(request: HttpRequest, channel: Channel) -> dict[str, Any]:
    user = person(request)
    blueprint = channel.release.blueprint if channel.release else {}
    about = Q(channel=channel) | Q(channel=None)
    operation = current_operation(channel) or _left_over(operations_for(user).filter(about, site=channel.site).distinct())
    events = events_for(user).filter(Q(channel_id=channel.id) | Q(channel_id="") if channel.name != PRODUCTION else Q(), site=channel.site)
    return {
        **_life(channel),
        "problem": channel.problem,
        "operation": operation_card(operation) if operation else None,
        "pace": "1s" if operation and OperationState(operation.state) not in FINAL_OPERATION_STATES else "3s",
        "instances": list(instances_for(user).filter(channel=channel).exclude(state="gone").distinct()),
        "static": is_static(channel),
        "stack": stack_of(blueprint),
        "releases": release_rows(
            releases_for(user).filter(channel=channel).select_related("build").distinct()[:RELEASES_SHOWN], kept_releases(channel)
        ),
        "current_release": channel.release_id,
        "trial_release": channel.canary_release_id,
        "events": list(events.distinct()[:EVENTS_SHOWN]),
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
