"""Pages about builds: all of a site's, one with its log as it is written and what it installed, and the caches."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from sitewright.domain.states import BuildState, Role
from sitewright.errors import NotFoundError, SitewrightError
from sitewright.manager.operations.access import may_change
from sitewright.manager.pages.live import answer, drawn, wants_piece
from sitewright.manager.pages.output import as_file, rows_of, shown, streamed
from sitewright.manager.pages.view import page, person, say, telling
from sitewright.manager.releases import asking
from sitewright.manager.releases.access import builds_for
from sitewright.manager.releases.models import Build
from sitewright.manager.releases.schemas_builds import build_out
from sitewright.manager.sites import logs
from sitewright.manager.sites.access import site_for
from sitewright.manager.sites.views.channel import address, asked
from sitewright.manager.sites.views.overview import frame

PER_PAGE = 30
PIECE = "releases/build_live.html"
PARTS_SHOWN = 1000
LINES_FOUND = 500
UNFINISHED = (BuildState.QUEUED.value, BuildState.RUNNING.value)


def _build(request: HttpRequest, name: str, build_id: str, role: Role = Role.VIEWER) -> Build:
    """The build of that site. Raises NotFoundError, ForbiddenError."""
    site = site_for(person(request), name, role)
    build = builds_for(person(request), role).filter(id=build_id, channel__site=site).select_related("release").distinct().first()
    if build is None:
        raise NotFoundError("There is no such build, or it is not yours to see.")
    return build


@page
@require_GET
def listing(request: HttpRequest, name: str) -> HttpResponse:
    """All builds of a site, newest first, and what their caches take."""
    site, context = frame(request, name, "releases")
    rows = builds_for(person(request)).filter(channel__site=site).select_related("release").distinct()
    current = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    context |= {"page": current, "builds": [build_out(one) for one in current.object_list], **_caches(request, name)}
    return render(request, "releases/builds.html", context)


def _caches(request: HttpRequest, name: str) -> dict[str, Any]:
    try:
        found = asking.caches(asked(request, name))
    except SitewrightError as error:
        return {"caches_unavailable": error}
    return {"caches": sorted(found.bytes.items()), "caches_bytes": sum(found.bytes.values()), "caches_limit": found.limit_bytes}


@page
@require_GET
def show(request: HttpRequest, name: str, build_id: str) -> HttpResponse:
    """One build: how far it is, its log, what it installed."""
    build = _build(request, name, build_id)
    context = frame(request, name, "releases")[1]
    operation = asking.operation_of(build)
    context |= {"build": build_out(build), "steps_of": operation, "unfinished": build.state in UNFINISHED}
    context["may_cancel"] = context["unfinished"] and operation is not None and may_change(person(request), operation)
    if wants_piece(request, "build"):
        return answer(request, PIECE, context)
    context |= {"piece": drawn(request, PIECE, context)[0], "text": request.GET.get("text", "").strip()[:200]}
    context |= _found(build, context["text"]) if context["text"] else _log(build)
    context |= _parts(build) if build.state == BuildState.SUCCEEDED else {}
    return render(request, "releases/build.html", context)


def _log(build: Build) -> dict[str, Any]:
    return shown(logs.build_log(build), reverse("releases:build-stream", args=[build.channel.site.name, build.id]))


def _found(build: Build, text: str) -> dict[str, Any]:
    """The lines of its log that hold *text*."""
    try:
        found = asking.search(build, text, LINES_FOUND)
    except SitewrightError as error:
        return {"lines": [], "stream": "", "unavailable": error}
    return {"lines": rows_of(found.lines), "stream": "", "unavailable": None}


def _parts(build: Build) -> dict[str, Any]:
    try:
        found = asking.artefacts(build)
    except SitewrightError:
        return {}
    return {
        "parts": found.components[:PARTS_SHOWN],
        "parts_more": max(len(found.components) - PARTS_SHOWN, 0),
        "parts_complete": found.complete,
    }


@page
@require_POST
def cancel(request: HttpRequest, name: str, build_id: str) -> HttpResponse:
    """Cancel what it is built for; what was online stays online."""
    build = _build(request, name, build_id, Role.DEVELOPER)
    with telling(request):
        asking.cancel_build(person(request), build)
        say(request, "The build is being cancelled.\nWhat was online stays online.")
    return redirect("releases:build", name, build.id)


@page
@require_GET
def parts(request: HttpRequest, name: str, build_id: str) -> HttpResponse:
    """What it installed and from where, as a CycloneDX file."""
    build = _build(request, name, build_id)
    headers = {"Content-Disposition": f'attachment; filename="{name}-{build.release_number}.cdx.json"'}
    return HttpResponse(asking.as_cyclonedx(build), content_type="application/vnd.cyclonedx+json", headers=headers)


@page
@require_GET
def stream(request: HttpRequest, name: str, build_id: str) -> HttpResponseBase:
    """Lines as server-sent events."""
    return streamed(request, logs.build_log(_build(request, name, build_id)))


@page
@require_GET
def download(request: HttpRequest, name: str, build_id: str) -> HttpResponse:
    """All lines as text."""
    return as_file(logs.build_log(_build(request, name, build_id)), f"{name}-build-{build_id}.log")


@page
@require_POST
def clear_caches(request: HttpRequest, name: str) -> HttpResponse:
    """Delete the caches; the next build takes longer."""
    channel = asked(request, name, Role.DEVELOPER)
    with telling(request):
        asking.clear_caches(person(request), channel)
        say(request, "The caches are empty.\nThe next build takes longer.")
    return redirect(address("releases:builds", name, channel.name))
