"""Reading output of processes and builds from a node: a page of lines, or lines as they come."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from sitewright.bus.messages import LogLine, LogPage, LogQuery
from sitewright.errors import SitewrightError
from sitewright.manager.bus import NodeClient
from sitewright.manager.releases.models import Build
from sitewright.manager.runtime import runtime
from sitewright.manager.sites.models import Channel

WAIT_SECONDS = 15.0
"""How long the node holds a request for something new; after it a comment keeps the connection open through proxies."""
MOST_LINES = 5000


@dataclass(frozen=True, slots=True)
class LogSource:
    """A log: whose, and where it is kept."""

    node: str
    query: LogQuery


def channel_log(channel: Channel, process: str = "", tail: int = 200) -> LogSource:
    """The output of a channel's processes; *process* "" is all of them."""
    query = LogQuery(site_id=channel.site_id, channel=channel.name, channel_id=channel.id, process=process, tail=_bounded(tail))
    return LogSource(channel.node, query)


def build_log(build: Build, tail: int = MOST_LINES) -> LogSource:
    """The log of a build."""
    return LogSource(build.node, LogQuery(build_id=build.id, tail=_bounded(tail)))


def _bounded(tail: int) -> int:
    return max(0, min(tail, MOST_LINES))


def read(source: LogSource, cursor: str = "") -> LogPage:
    """The last lines, or those after *cursor*. Raises UnavailableError."""
    query = source.query.model_copy(update={"cursor": cursor, "limit": MOST_LINES})
    return NodeClient(runtime().bus, source.node).ask("log.read", query, LogPage)


async def follow(source: LogSource, cursor: str = "") -> AsyncIterator[bytes]:
    """Server-sent events: `line` for each line (at, source, text), `end` when nothing will follow, `problem` when the node is away.

    Each event's id is the cursor, so that a browser that reconnects goes on where it was.
    """
    client = NodeClient(runtime().bus, source.node)
    while True:
        query = source.query.model_copy(update={"cursor": cursor, "wait_seconds": WAIT_SECONDS if cursor else 0.0})
        try:
            page = await client.ask_soon("log.read", query, LogPage, WAIT_SECONDS + 5.0)
        except SitewrightError as error:
            yield event("problem", {"message": error.message, "details": error.details, "resolution": error.resolution})
            return
        cursor = page.cursor or cursor
        for line in page.lines:
            yield event("line", _document(line), cursor)
        if page.ended:
            yield event("end", {})
            return
        if not page.lines:
            yield b": still here\n\n"


def _document(line: LogLine) -> dict[str, object]:
    return {"at": line.at, "source": line.source, "text": line.text}


def event(name: str, document: dict[str, object], cursor: str = "") -> bytes:
    """One server-sent event."""
    head = f"id: {cursor}\n" if cursor else ""
    return f"{head}event: {name}\ndata: {json.dumps(document, separators=(',', ':'))}\n\n".encode()
