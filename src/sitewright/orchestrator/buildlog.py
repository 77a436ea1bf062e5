"""Reads the log of a build while it grows: lines of `<epoch seconds> <text>`, cursor = offset in bytes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from sitewright.bus.messages import BuildStatus, LogLine, LogPage, LogQuery
from sitewright.domain.states import BuildState
from sitewright.errors import InvalidValueError

LOOK_SECONDS = 0.05
"""Only while somebody watches."""
CHUNK_BYTES = 512 * 1024
FINAL = frozenset({BuildState.SUCCEEDED, BuildState.FAILED, BuildState.CANCELLED})


class Builds(Protocol):
    """What is asked of the builder here."""

    async def status(self, build_id: str) -> BuildStatus:
        """How it is doing. Raises NotFoundError."""
        ...

    def log_path(self, build_id: str) -> Path:
        """Where its log is."""
        ...


def _parse(line: bytes) -> LogLine:
    at, _, text = line.partition(b" ")
    try:
        return LogLine(at=float(at), source="build", text=text.decode(errors="replace"))
    except ValueError:
        return LogLine(at=0.0, source="build", text=line.decode(errors="replace"))


def _chunk(path: Path, offset: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(CHUNK_BYTES)
    except OSError:
        return b""


def _page(path: Path, offset: int, limit: int) -> tuple[tuple[LogLine, ...], int, bool]:
    """Whole lines from *offset* on, where the next one begins, and whether that is the end of the file."""
    data = _chunk(path, offset)
    whole = data[: data.rfind(b"\n") + 1].split(b"\n")[:-1][:limit]
    taken = sum(len(line) + 1 for line in whole)
    return tuple(_parse(line) for line in whole), offset + taken, taken == len(data) < CHUNK_BYTES


async def read_build_log(builds: Builds, query: LogQuery, wait_seconds: float) -> LogPage:
    """Lines after the cursor ("" is the beginning: a build's log is read whole). Raises NotFoundError, InvalidValueError."""
    if query.cursor and not (query.cursor.isdigit() and len(query.cursor) < 20):
        raise InvalidValueError("This place in the log is not known.", resolution="Read again from the beginning, without a cursor.")
    offset = int(query.cursor or "0")
    path = builds.log_path(query.build_id)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_seconds
    while True:
        # Asked before the log is read: what a build writes, it writes before it ends.
        final = (await builds.status(query.build_id)).state in FINAL
        lines, after, at_end = await asyncio.to_thread(_page, path, offset, max(1, min(query.limit, 1000)))
        if lines:
            return LogPage(lines=lines, cursor=str(after), ended=final and at_end)
        if final or loop.time() >= deadline:
            return LogPage(cursor=str(offset), ended=final)
        await asyncio.sleep(LOOK_SECONDS)
