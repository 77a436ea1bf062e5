"""Output of processes and builds: whose log it is and where it is kept, and a page of it. Streams are in sitewright.manager.api.logs."""

from __future__ import annotations

from dataclasses import dataclass

from sitewright.bus.messages import LogLine, LogPage, LogQuery
from sitewright.manager.bus import NodeClient
from sitewright.manager.releases.models import Build
from sitewright.manager.runtime import runtime
from sitewright.manager.sites.models import Channel

MOST_LINES = 5000
MOST_KEPT = 100_000
USUAL_LINES = 200
ANSWER_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class LogSource:
    """A log: whose, and where it is kept."""

    node: str
    query: LogQuery


def channel_log(channel: Channel, process: str = "", tail: int = USUAL_LINES) -> LogSource:
    """The output of a channel's processes; *process* "" is all of them."""
    query = LogQuery(site_id=channel.site_id, channel=channel.name, channel_id=channel.id, process=process, tail=tail)
    return LogSource(channel.node, query)


def build_log(build: Build, tail: int = MOST_LINES) -> LogSource:
    """The log of a build."""
    return LogSource(build.node, LogQuery(build_id=build.id, tail=tail))


def read(source: LogSource, cursor: str = "") -> LogPage:
    """The last lines, or those after *cursor*. Raises UnavailableError."""
    query = source.query.model_copy(update={"cursor": cursor, "limit": MOST_LINES})
    return NodeClient(runtime().bus, source.node).ask("log.read", query, LogPage, ANSWER_SECONDS)


def read_all(source: LogSource) -> list[LogLine]:
    """The lines that there are now, page after page, MOST_KEPT at most. Raises UnavailableError."""
    lines: list[LogLine] = []
    page = read(source)
    while page.lines and len(lines) < MOST_KEPT:
        lines += page.lines
        page = read(source, page.cursor)
    return lines
