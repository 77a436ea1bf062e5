"""Finding lines in the log of a build that is kept."""

from __future__ import annotations

from pathlib import Path

from sitewright.builder.log import without_colours
from sitewright.bus.messages import BuildSearch, LogLine, LogPage
from sitewright.errors import InvalidValueError

LONGEST_TEXT = 200
MOST_LINES = 1000


def search_log(path: Path, query: BuildSearch, *, final: bool) -> LogPage:
    """Lines that hold the text, colours and case ignored; the cursor is where to search on. ``ended``: there is nothing more to find.

    Raises InvalidValueError. Blocking: as long as reading a few megabytes takes.
    """
    wanted = query.text.strip().casefold()
    if not wanted or len(wanted) > LONGEST_TEXT:
        raise InvalidValueError("There is nothing to look for.", resolution=f"Give up to {LONGEST_TEXT} characters.")
    if query.cursor and not (query.cursor.isdecimal() and len(query.cursor) < 20):
        raise InvalidValueError("This place in the log is not known.", resolution="Search again from the beginning, without a cursor.")
    found: list[LogLine] = []
    at = int(query.cursor or "0")
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return LogPage(cursor=str(at), ended=final)
    with file:
        file.seek(at)
        for raw in file:
            if not raw.endswith(b"\n") or len(found) >= max(1, min(query.limit, MOST_LINES)):
                return LogPage(lines=tuple(found), cursor=str(at))
            at += len(raw)
            stamp, _, text = raw.decode("utf-8", "replace").rstrip("\n").partition(" ")
            if wanted in without_colours(text).casefold():
                found.append(LogLine(at=_seconds(stamp), source="build", text=text))
    return LogPage(lines=tuple(found), cursor=str(at), ended=final)


def _seconds(stamp: str) -> float:
    try:
        return float(stamp)
    except ValueError:
        return 0.0
