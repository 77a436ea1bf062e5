"""Output of processes and builds as pages show it: lines now, a stream of more, a file to keep."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.http import urlencode

from sitewright.bus.messages import LogLine, LogPage
from sitewright.errors import UnavailableError
from sitewright.manager.api.logs import follow
from sitewright.manager.api.streams import stream
from sitewright.manager.pages.colours import plain
from sitewright.manager.sites import logs


def shown(source: logs.LogSource, goes_on: str, **parameters: str) -> dict[str, Any]:
    """What parts/log.html needs: lines, and the address where the stream goes on after them ("" when the log has ended).

    *goes_on* is the address without its query. A node that does not answer is told on the page, not instead of it.
    """
    try:
        page, unavailable = logs.read(source), None
    except UnavailableError as error:
        page, unavailable = LogPage(), error
    address = "" if page.ended else f"{goes_on}?{urlencode({**parameters, 'cursor': page.cursor})}"
    return {"lines": rows_of(page.lines), "stream": address, "unavailable": unavailable}


def rows_of(lines: Iterable[LogLine]) -> list[dict[str, object]]:
    """Lines as parts/log.html draws them."""
    return [_row(line) for line in lines]


def _row(line: LogLine) -> dict[str, object]:
    return {"moment": datetime.fromtimestamp(line.at, tz=UTC), "source": line.source, "text": line.text}


def streamed(request: HttpRequest, source: logs.LogSource) -> StreamingHttpResponse:
    """Server-sent events from where the browser is: what it says it saw last, or the page's own cursor."""
    cursor = request.headers.get("Last-Event-ID", "") or request.GET.get("cursor", "")
    return stream(follow(source, cursor))


def as_file(source: logs.LogSource, name: str) -> HttpResponse:
    """The lines as text to keep, times in UTC. Raises UnavailableError."""
    lines = logs.read_all(source)
    text = "".join(f"{datetime.fromtimestamp(line.at, tz=UTC):%Y-%m-%dT%H:%M:%SZ} {line.source} {plain(line.text)}\n" for line in lines)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(text, content_type="text/plain; charset=utf-8", headers=headers)
