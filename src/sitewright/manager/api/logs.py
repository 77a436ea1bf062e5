"""Reading logs from nodes: a page, or line by line as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ninja import Schema

from sitewright.bus.messages import LogPage
from sitewright.errors import SitewrightError, UnavailableError
from sitewright.manager.api.streams import KEEP_ALIVE, event
from sitewright.manager.bus import NodeClient
from sitewright.manager.runtime import runtime
from sitewright.manager.sites import logs

WAIT_SECONDS = 3.0
MARGIN_SECONDS = 2.0
"""A question that a killed node took with it is asked again after both."""
LONGEST_CURSOR = 200
AGAIN_SECONDS = 0.5
PATIENCE = 16
"""Unanswered questions in a row before a stream ends; the browser then reconnects by itself."""


class LogLineOut(Schema):
    """One line. ``at``: seconds since the epoch; ``source``: process and index, or `build`."""

    at: float
    source: str
    text: str


class LogPageOut(Schema):
    """Lines, oldest first, and the cursor to go on from. ``ended``: nothing will ever follow."""

    lines: list[LogLineOut]
    cursor: str
    ended: bool


def page_of(source: logs.LogSource, cursor: str) -> LogPageOut:
    """A page of a log: the last lines, or those after *cursor*. Raises UnavailableError."""
    page = logs.read(source, cursor)
    return LogPageOut(
        lines=[LogLineOut(at=line.at, source=line.source, text=line.text) for line in page.lines], cursor=page.cursor, ended=page.ended
    )


async def follow(source: logs.LogSource, cursor: str) -> AsyncIterator[bytes]:
    """Events `line` as lines come after *cursor*, `end` when none will follow. A node that is away for a while only delays it."""
    client = NodeClient(runtime().bus, source.node)
    query = source.query.model_copy(update={"cursor": cursor[:LONGEST_CURSOR]})
    wait = 0.0
    missed = 0
    while missed < PATIENCE:
        try:
            asked = query.model_copy(update={"wait_seconds": wait})
            page = await client.ask_soon("log.read", asked, LogPage, wait + MARGIN_SECONDS)
        except UnavailableError:
            missed += 1
            yield KEEP_ALIVE
            await asyncio.sleep(AGAIN_SECONDS)
            continue
        except SitewrightError as error:
            yield event("problem", {"message": error.message, "resolution": error.resolution})
            return
        missed = 0
        for line in page.lines[:-1]:
            yield event("line", line.model_dump_json())
        if page.lines:
            yield event("line", page.lines[-1].model_dump_json(), page.cursor)
        if page.ended:
            yield event("end", {})
            return
        if not page.lines:
            yield KEEP_ALIVE
        query = query.model_copy(update={"cursor": page.cursor})
        wait = WAIT_SECONDS
