"""/builds, /queue and /sites/{name}/builds, caches: what was built, what it installed, what waits."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Router, Status
from ninja.params.functions import Query

from sitewright.bus.messages import CacheReport
from sitewright.domain.states import BuildState, Role
from sitewright.errors import ForbiddenError, NotFoundError
from sitewright.manager.accounts.models import User
from sitewright.manager.api.auth import person
from sitewright.manager.api.logs import LogLineOut, LogPageOut
from sitewright.manager.api.paging import USUAL, page
from sitewright.manager.operations.schemas import Accepted, operation_out
from sitewright.manager.releases import asking
from sitewright.manager.releases.access import builds_for
from sitewright.manager.releases.models import Build
from sitewright.manager.releases.schemas_builds import ArtefactList, BuildList, BuildOut, CachesOut, ComponentOut, QueueList, build_out
from sitewright.manager.sites.api.channel import ANY_CHANNEL, asked_channel

router = Router(tags=["builds"])
sites_router = Router(tags=["builds"])

MOST_QUEUED = 200


def build_for(user: User, build_id: str, role: Role = Role.VIEWER) -> Build:
    """The build of that id. Raises NotFoundError, ForbiddenError."""
    build = builds_for(user, role).filter(id=build_id).select_related("release").first()
    if build is not None:
        return build
    if role is not Role.VIEWER and builds_for(user).filter(id=build_id).exists():
        raise ForbiddenError("Your role in the team does not allow this.", details=f"It needs the role {role.value}.")
    raise NotFoundError("There is no such build, or it is not yours to see.")


@router.get("/queue", response=QueueList, operation_id="getQueue")
def get_queue(request: HttpRequest) -> QueueList:
    """What is built now, and what waits, in the order of their turn."""
    unfinished = [BuildState.RUNNING.value, BuildState.QUEUED.value]
    rows = builds_for(person(request)).filter(state__in=unfinished).select_related("release")
    shown = sorted(rows[:MOST_QUEUED], key=lambda one: (one.state == BuildState.QUEUED, one.position, one.created_at))
    others = Build.objects.filter(state__in=unfinished).count() - len(shown)
    return QueueList(items=[build_out(one) for one in shown], next=None, others=max(others, 0))


@router.get("/builds/{build_id}", response=BuildOut, operation_id="getBuild")
def get_build(request: HttpRequest, build_id: str) -> BuildOut:
    """One build: how far it is, and its place in the queue."""
    return build_out(build_for(person(request), build_id))


@router.post("/builds/{build_id}/cancel", response={202: Accepted}, operation_id="cancelBuild")
def cancel_build(request: HttpRequest, build_id: str) -> Status[Accepted]:
    """Cancel what it is built for; what was online stays online."""
    build = build_for(person(request), build_id, Role.DEVELOPER)
    operation = asking.cancel_build(person(request), build)
    return Status(202, Accepted(operation=operation_out(operation)))


@router.get("/builds/{build_id}/artefacts", response=ArtefactList, operation_id="listArtefacts")
def list_artefacts(request: HttpRequest, build_id: str, format: Literal["", "cyclonedx"] = "") -> Any:
    """What it installed and from where; with `format=cyclonedx` as a CycloneDX document."""
    build = build_for(person(request), build_id)
    if format == "cyclonedx":
        return HttpResponse(asking.as_cyclonedx(build), content_type="application/vnd.cyclonedx+json")
    found = asking.artefacts(build)
    items = [
        ComponentOut(name=one.name, version=one.version, purl=one.purl, origin=one.origin, digest=one.digest) for one in found.components
    ]
    return ArtefactList(items=items, next=None, complete=found.complete)


@router.get("/builds/{build_id}/search", response=LogPageOut, operation_id="searchBuildLog")
def search_build_log(
    request: HttpRequest,
    build_id: str,
    text: str = Query(..., min_length=1, max_length=200),
    limit: int = Query(200, ge=1, le=1000),
    cursor: str = Query("", max_length=20),
) -> LogPageOut:
    """The lines of its log that hold *text*, whatever the case; with the answer's *cursor* the search goes on."""
    build = build_for(person(request), build_id)
    found = asking.search(build, text, limit, cursor)
    lines = [LogLineOut(at=line.at, source=line.source, text=line.text) for line in found.lines]
    return LogPageOut(lines=lines, cursor=found.cursor, ended=found.ended)


@sites_router.get("/{name}/builds", response=BuildList, operation_id="listBuilds")
def list_builds(request: HttpRequest, name: str, cursor: str = "", limit: int = USUAL, channel: str = ANY_CHANNEL) -> BuildList:
    """Builds of the site, newest first."""
    row = asked_channel(request, name, channel)
    rows = builds_for(person(request)).filter(channel__site=row.site).select_related("release")
    if channel:
        rows = rows.filter(channel=row)
    found, following = page(rows, ("-created_at", "-id"), cursor, limit)
    return BuildList(items=[build_out(one) for one in found], next=following)


@sites_router.get("/{name}/caches", response=CachesOut, operation_id="getCaches")
def get_caches(request: HttpRequest, name: str) -> CachesOut:
    """What the caches of its builds take."""
    return _caches(asking.caches(asked_channel(request, name, "")))


@sites_router.post("/{name}/caches/clear", response=CachesOut, operation_id="clearCaches")
def clear_caches(request: HttpRequest, name: str) -> CachesOut:
    """Delete them; the next build takes longer."""
    channel = asked_channel(request, name, "", Role.DEVELOPER)
    return _caches(asking.clear_caches(person(request), channel))


def _caches(found: CacheReport) -> CachesOut:
    return CachesOut(bytes=found.bytes, limit_bytes=found.limit_bytes)
