"""A channel's releases: all of them, one with what it changed, returning to one, giving one to another channel; freezes and protection."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_GET, require_POST

from sitewright.domain.channel import PRODUCTION
from sitewright.domain.states import Mode, Role
from sitewright.errors import InvalidValueError, NotFoundError, SitewrightError
from sitewright.manager.accounts.models import User
from sitewright.manager.pages.view import page, person, say, telling
from sitewright.manager.releases.access import for_user as releases_for
from sitewright.manager.releases.models import Release
from sitewright.manager.releases.present import env_diff, one_before
from sitewright.manager.releases.services import kept_releases
from sitewright.manager.sites import branches, changing, channels, freezing
from sitewright.manager.sites.access import channel_for, channels_for
from sitewright.manager.sites.models import Channel
from sitewright.manager.sites.present import release_rows
from sitewright.manager.sites.services import Way
from sitewright.manager.sites.views.channel import address, asked, back, may_deploy
from sitewright.manager.sites.views.overview import frame

PER_PAGE = 50
FILES_SHOWN = 200


@page
@require_GET
def show(request: HttpRequest, name: str) -> HttpResponse:
    """All releases of a channel, newest first; those that are kept can be returned to."""
    context = frame(request, name, "releases")[1]
    channel = context["channel"]
    rows = releases_for(person(request)).filter(channel=channel).select_related("build").distinct()
    current = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    context |= {
        "page": current,
        "releases": release_rows(current.object_list, kept_releases(channel)),
        "current_release": channel.release_id,
        "trial_release": channel.canary_release_id,
        "targets": _targets(person(request), channel),
        "whole": True,
    }
    return render(request, "sites/all_releases.html", context)


def _targets(user: User, channel: Channel) -> list[Channel]:
    """The channels that may be given a release of this one."""
    if channel.mode == Mode.LIVE.value:
        return []
    others = channels_for(user, Role.DEVELOPER).filter(site=channel.site, mode=Mode.RELEASED.value).exclude(id=channel.id).distinct()
    found = [one for one in others if may_deploy(user, one)]
    return sorted(found, key=lambda one: (one.name != PRODUCTION, one.name))


@page
@require_GET
def one(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """One release: where it came from, what it changed, and in which variables it differs from another."""
    context = frame(request, name, "releases")[1]
    user, channel = person(request), context["channel"]
    release = _release(user, channel, number)
    others = [one for one in releases_for(user).filter(channel=channel).exclude(id=release.id).distinct()[:PER_PAGE] if one.live_at]
    before = _compared(request, others) or one_before(release)
    kept = kept_releases(channel)
    context |= {
        "release": release_rows([release], kept)[0],
        "row": release,
        "before": before,
        "others": others,
        "targets": _targets(user, channel) if release.id in kept else [],
        "current_release": channel.release_id,
        "trial_release": channel.canary_release_id,
        **_differences(channel, release, before),
    }
    return render(request, "sites/release.html", context)


def _release(user: User, channel: Channel, number: int) -> Release:
    release = releases_for(user).filter(channel=channel, number=number).select_related("build").distinct().first()
    if release is None:
        raise NotFoundError(f"There is no release {number}.", resolution="The list of releases shows what there is.")
    return release


def _compared(request: HttpRequest, others: list[Release]) -> Release | None:
    wanted = request.GET.get("with", "")
    return next((one for one in others if str(one.number) == wanted), None)


def _differences(channel: Channel, release: Release, before: Release | None) -> dict[str, Any]:
    """Files, commits and variables between the two; a node that does not answer is told on the page, not instead of it."""
    found: dict[str, Any] = {}
    if before is not None and before.live_at and release.live_at:
        found["variables"] = env_diff(before, release)
    if release.commit:
        try:
            found["changes"] = branches.changes(channel, before.commit if before else "", release.commit, FILES_SHOWN)
        except SitewrightError as error:
            found["unavailable"] = error
    return found


@page
@require_POST
def rollback(request: HttpRequest, name: str) -> HttpResponse:
    """Return to a release."""
    channel = asked(request, name, Role.DEVELOPER)
    with telling(request):
        number = _number(request.POST.get("release", ""))
        changing.rollback(person(request), channel.site, number, channel=channel, why=request.POST.get("why", ""))
    return back("sites:show", channel)


@page
@require_POST
def promote(request: HttpRequest, name: str) -> HttpResponse:
    """Give a release of this channel to another one, without building it again."""
    source = asked(request, name, Role.DEVELOPER)
    with telling(request):
        target = channel_for(person(request), name, Role.DEVELOPER, request.POST.get("to", ""))
        way = Way(why=request.POST.get("why", ""))
        channels.adopt(person(request), target, source, _number(request.POST.get("release", "")), way=way)
        return redirect(address("sites:show", name, target.name))
    return back("sites:releases", source)


def _number(text: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InvalidValueError(f"“{text[:20]}” is no release.", resolution="The list of releases shows what there is.")
    return int(text)


@page
@require_POST
def freeze(request: HttpRequest, name: str) -> HttpResponse:
    """Let nothing be deployed for a while."""
    channel = asked(request, name, Role.DEVELOPER)
    with telling(request):
        freezing.freeze(person(request), channel, _moment(request.POST.get("until", "")), request.POST.get("reason", ""))
        say(request, f"Nothing is deployed to “{channel.name}” until then.\nIt can still be rolled back.")
    return back("sites:releases", channel)


def _moment(text: str) -> datetime:
    """What a field for date and time holds; such fields have no time zone, and the page says that it is UTC."""
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None:
        raise InvalidValueError("Until when?", resolution="Give a day and a time.")
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@page
@require_POST
def unfreeze(request: HttpRequest, name: str) -> HttpResponse:
    """End a freeze before its time."""
    channel = asked(request, name, Role.DEVELOPER)
    with telling(request):
        freezing.unfreeze(person(request), channel)
        say(request, f"“{channel.name}” can be deployed to again.")
    return back("sites:releases", channel)


@page
@require_POST
def protect(request: HttpRequest, name: str) -> HttpResponse:
    """Who may deploy to the channel; for owners to say."""
    channel = asked(request, name, Role.OWNER)
    with telling(request):
        wanted = request.POST.get("who", "")
        role = Role.OWNER if wanted == "owner" else Role.DEVELOPER
        channels.change(person(request), channel, channels.Wish(protected=wanted in {"owner", "developer"}, deploy_role=role))
        say(request, f"It is settled who may deploy to “{channel.name}”.")
    return back("sites:releases", channel)
