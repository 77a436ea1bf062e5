"""/uploads and /builds: sending sources, reading build logs."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.http import HttpRequest, StreamingHttpResponse
from ninja import Router, Status
from ninja.params.functions import Query

from sitewright.errors import NotFoundError
from sitewright.manager.accounts.models import User
from sitewright.manager.api.auth import person
from sitewright.manager.api.logs import LogPageOut, follow, page_of
from sitewright.manager.api.streams import stream
from sitewright.manager.releases.access import builds_for
from sitewright.manager.releases.models import Build
from sitewright.manager.releases.schemas import UploadOut
from sitewright.manager.releases.uploads import receive
from sitewright.manager.sites import logs

router = Router(tags=["releases"])


@router.post("/uploads", response={201: UploadOut}, operation_id="upload")
def upload(request: HttpRequest, filename: str = Query("", max_length=255)) -> Status[UploadOut]:
    """Send an archive (zip, tar, tar.gz, tar.xz, tar.bz2) as the request's raw body."""
    row = receive(person(request), request.read, filename)
    return Status(201, UploadOut(digest=row.digest, size=row.size_bytes))


@router.get("/builds/{build_id}/logs", response=LogPageOut, operation_id="getBuildLog")
def build_log(request: HttpRequest, build_id: str, cursor: str = "", tail: int = Query(200, ge=0, le=10_000)) -> LogPageOut:
    """Lines of a build's log."""
    return page_of(logs.build_log(_build(person(request), build_id), tail), cursor)


@router.get("/builds/{build_id}/logs/stream", operation_id="streamBuildLog", response={200: None})
async def build_log_stream(request: HttpRequest, build_id: str, tail: int = Query(10_000, ge=0, le=10_000)) -> StreamingHttpResponse:
    """Server-sent events `line` (data: {at, source, text}) as they are written, then `end`."""
    build = await sync_to_async(_build)(person(request), build_id)
    return stream(follow(logs.build_log(build, tail), request.headers.get("Last-Event-ID", "")))


def _build(user: User, build_id: str) -> Build:
    build = builds_for(user).filter(id=build_id).first()
    if build is None:
        raise NotFoundError("There is no such build, or it is not yours to see.")
    return build
