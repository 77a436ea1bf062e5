"""/sites/{name}/logs: what the site's processes write."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.http import HttpRequest, StreamingHttpResponse
from ninja import Router
from ninja.params.functions import Query

from sitewright.manager.api.logs import LogPageOut, follow, page_of
from sitewright.manager.api.streams import stream
from sitewright.manager.sites import logs
from sitewright.manager.sites.api.channel import CHANNEL, asked_channel

router = Router(tags=["logs"])


@router.get("/{name}/logs", response=LogPageOut, operation_id="getLogs")
def get_logs(
    request: HttpRequest,
    name: str,
    process: str = Query("", max_length=20),
    cursor: str = "",
    tail: int = Query(200, ge=0, le=10_000),
    channel: str = CHANNEL,
) -> LogPageOut:
    """The last *tail* lines, or what came after *cursor*; of one process type or of all."""
    return page_of(logs.channel_log(asked_channel(request, name, channel), process, tail), cursor)


@router.get("/{name}/logs/stream", operation_id="streamLogs", response={200: None})
async def stream_logs(
    request: HttpRequest,
    name: str,
    process: str = Query("", max_length=20),
    tail: int = Query(200, ge=0, le=10_000),
    channel: str = CHANNEL,
) -> StreamingHttpResponse:
    """Server-sent events `line` (data: {at, source, text}) as they are written. A reconnecting browser misses nothing."""
    row = await sync_to_async(asked_channel)(request, name, channel)
    return stream(follow(logs.channel_log(row, process, tail), request.headers.get("Last-Event-ID", "")))
