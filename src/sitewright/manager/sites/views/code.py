"""A site's code: how to push, its branches and commits, edits that are in no commit yet, and the configuration that a release follows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from sitewright.builder.config.parse import check_config
from sitewright.bus.messages import Refs
from sitewright.domain.git import BRANCHES, TAGS, Commit
from sitewright.domain.release import Blueprint
from sitewright.domain.states import Mode, Role
from sitewright.errors import SitewrightError
from sitewright.manager.accounts.access import keys_for
from sitewright.manager.accounts.models import User
from sitewright.manager.pages.view import page, person, say, telling
from sitewright.manager.repositories.access import for_user as connections_for
from sitewright.manager.sites import branches, publishing
from sitewright.manager.sites.access import channels_for
from sitewright.manager.sites.api.config import config_out
from sitewright.manager.sites.blueprints import blueprint_of
from sitewright.manager.sites.models import Channel
from sitewright.manager.sites.views.channel import asked, back
from sitewright.manager.sites.views.overview import frame

COMMITS_SHOWN = 30
BRANCHES_SHOWN = 100


@page
@require_GET
def show(request: HttpRequest, name: str) -> HttpResponse:
    """How to push, and what was pushed."""
    site, context = frame(request, name, "code")
    user, channel = person(request), context["channel"]
    branch = request.GET.get("branch", "") or channel.branch or site.default_branch
    context |= {
        "ssh_url": settings.PLATFORM.ssh_url(site.name),
        "https_url": settings.PLATFORM.git_url(site.name),
        "has_key": keys_for(user).exists(),
        "push_branch": channel.branch or site.default_branch,
        "branch": branch,
        "connection": connections_for(user).filter(site=site).distinct().first(),
        **_repository(user, channel, branch),
        **_config(channel, values=context["may_change"]),
    }
    if channel.mode == Mode.LIVE.value:
        context |= _edits(channel)
    return render(request, "sites/code.html", context)


def _repository(user: User, channel: Channel, branch: str) -> dict[str, Any]:
    """Branches, tags, and the newest commits of one branch; a node that does not answer is told on the page."""
    try:
        found = branches.refs(channel)
        head = next((ref.commit.id for ref in found.refs if ref.name == BRANCHES + branch), "")
        commits = branches.changes(channel, "", head, COMMITS_SHOWN).commits if head else ()
    except SitewrightError as error:
        return {"unavailable": error}
    followed = dict(channels_for(user).filter(site=channel.site).exclude(branch="").values_list("branch", "name"))
    return {
        "branches": _branches(found, followed)[:BRANCHES_SHOWN],
        "tags": [ref.name.removeprefix(TAGS) for ref in found.refs if ref.name.startswith(TAGS)],
        "repository_bytes": found.size_bytes,
        "commits": [_commit(one) for one in commits],
    }


def _branches(found: Refs, followed: dict[str, str]) -> list[dict[str, Any]]:
    """Those that a channel follows first, then the newest."""
    rows = [(ref.name.removeprefix(BRANCHES), ref.commit) for ref in found.refs if ref.name.startswith(BRANCHES)]
    rows.sort(key=lambda row: (row[0] not in followed, -row[1].at))
    return [{"name": name, "channel": followed.get(name, ""), "commit": _commit(commit)} for name, commit in rows]


def _commit(commit: Commit) -> dict[str, Any]:
    author = commit.author.partition(" <")[0]
    return {"id": commit.id, "subject": commit.subject, "author": author, "at": datetime.fromtimestamp(commit.at, tz=UTC)}


def _edits(channel: Channel) -> dict[str, Any]:
    try:
        found = publishing.edits(channel)
    except SitewrightError as error:
        return {"edits_unavailable": error}
    words = {"A": "new", "M": "changed", "D": "deleted"}
    return {"edits": [(words.get(kind, kind), path) for kind, path in found.files], "edits_more": found.more}


def _config(channel: Channel, *, values: bool) -> dict[str, Any]:
    """What the release that visitors get takes from sitewright.toml, _redirects and the like."""
    if channel.release is None:
        return {}
    blueprint: Blueprint = blueprint_of(channel.release.blueprint)
    shown = config_out(blueprint, channel.name, channel.release.number, values=values)
    says = bool(shown.file or shown.redirects or shown.headers or shown.fallback or shown.not_found)
    return {"config": shown if says else None, "config_release": channel.release.number}


def _deed(request: HttpRequest, name: str, done: str, act: Callable[[User, Channel], object]) -> HttpResponse:
    """Do something with the edits of a live channel, and say so."""
    channel = asked(request, name, Role.DEVELOPER)
    with telling(request):
        act(person(request), channel)
        say(request, done)
        return back("sites:show", channel)
    return back("sites:code", channel)


@page
@require_POST
def publish(request: HttpRequest, name: str) -> HttpResponse:
    """Commit the edits."""
    message = request.POST.get("message", "")
    return _deed(request, name, "The edits are being committed.", lambda user, channel: publishing.publish(user, channel, message))


@page
@require_POST
def stash(request: HttpRequest, name: str) -> HttpResponse:
    """Keep the edits on a branch of their own."""
    branch = request.POST.get("branch", "").strip()
    done = "The edits are being put on a branch of their own."
    return _deed(request, name, done, lambda user, channel: publishing.stash(user, channel, branch))


@page
@require_POST
def discard(request: HttpRequest, name: str) -> HttpResponse:
    """Throw the edits away."""
    return _deed(request, name, "The edits are being thrown away.", publishing.discard)


@page
@require_POST
def check_file(request: HttpRequest, name: str) -> HttpResponse:
    """What is wrong with a sitewright.toml, line by line, before it is pushed; nothing is deployed."""
    asked(request, name, Role.DEVELOPER)
    text = request.POST.get("text", "").replace("\r\n", "\n")
    return render(request, "sites/config_problems.html", {"problems": check_config(text)})
