"""/sites/{name}/logs: what the site's processes write."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.http import HttpRequest, StreamingHttpResponse
from ninja import Router
from ninja.params.functions import Query

from sitewright.bus.messages import LogQuery
from sitewright.manager.accounts.models import User
from sitewright.manager.api.auth import person
from sitewright.manager.api.logs import LogPageOut, follow, read
from sitewright.manager.api.streams import stream
from sitewright.manager.sites.access import channel_for
from sitewright.manager.sites.models import Channel

router = Router(tags=["logs"])


@router.get("/{name}/logs", response=LogPageOut, operation_id="getLogs")
async def get_logs(
    request: HttpRequest,
    name: str,
    process: str = Query("", max_length=20),
    cursor: str = "",
    tail: int = Query(200, ge=0, le=10_000),
) -> LogPageOut:
    """The last *tail* lines, or what came after *cursor*; of one process type or of all."""
    channel = await sync_to_async(channel_for)(person(request), name)
    return await read(channel.node, _query(channel, process, cursor, tail))


@router.get("/{name}/logs/stream", operation_id="streamLogs", response={200: None})
async def stream_logs(
    request: HttpRequest,
    name: str,
    process: str = Query("", max_length=20),
    tail: int = Query(200, ge=0, le=10_000),
) -> StreamingHttpResponse:
    """Server-sent events `line` (data: {at, source, text}) as they are written. A reconnecting browser misses nothing."""
    user: User = person(request)
    channel = await sync_to_async(channel_for)(user, name)
    return stream(follow(channel.node, _query(channel, process, request.headers.get("Last-Event-ID", ""), tail)))


def _query(channel: Channel, process: str, cursor: str, tail: int) -> LogQuery:
    return LogQuery(site_id=channel.site_id, channel=channel.name, channel_id=channel.id, process=process, cursor=cursor, tail=tail)
