"""Output of a channel's processes on disk: lines with time and source, in numbered files of bounded size.

A line of the file is `<epoch seconds> <source> <text>`; a cursor is `<file number>:<offset in bytes>` and stays good when files rotate.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sitewright.bus.messages import LogLine, LogPage
from sitewright.errors import InvalidValueError
from sitewright.system.clock import Clock

FILE_BYTES = 4 * 1024 * 1024
KEPT_FILES = 3
LONGEST_LINE = 16 * 1024
FLUSH_SECONDS = 0.05
TAIL_BYTES = 512 * 1024
"""How far back a reader without a cursor looks."""
MOST_LINES = 1000


@dataclass(frozen=True, slots=True)
class Source:
    """Whose output it is: the folder of the channel's logs and the process with its number (`web.1`)."""

    folder: Path
    name: str


@dataclass(slots=True)
class _Folder:
    number: int
    size: int
    pending: list[bytes] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


def log_files(folder: Path) -> list[int]:
    """The numbers of the files there, oldest first."""
    numbers = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            stem, _, suffix = entry.name.partition(".")
            if suffix == "log" and stem.isdigit():
                numbers.append(int(stem))
    return sorted(numbers)


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number}.log"


def parse(line: bytes) -> LogLine | None:
    """One stored line; None for one that is damaged."""
    at, _, rest = line.partition(b" ")
    source, _, text = rest.partition(b" ")
    try:
        return LogLine(at=float(at), source=source.decode(), text=text.decode(errors="replace"))
    except ValueError:
        return None


class LogStore:
    """Takes raw output of instances, keeps it as lines, and lets them be read from any place."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sources: dict[str, Source] = {}
        self._partial: dict[str, bytes] = {}
        self._folders: dict[Path, _Folder] = {}
        self._flush: asyncio.TimerHandle | None = None

    def register(self, instance_id: str, source: Source) -> None:
        """From now on output under that id belongs to *source*."""
        self._sources[instance_id] = source

    def knows(self, instance_id: str) -> bool:
        """Whether output under that id is an instance's."""
        return instance_id in self._sources

    def release(self, instance_id: str) -> None:
        """The instance is gone: keep its unfinished last line and forget it."""
        rest = self._partial.pop(instance_id, b"")
        source = self._sources.pop(instance_id, None)
        if rest and source is not None:
            self._add(source, [rest])

    def feed(self, instance_id: str, data: bytes) -> None:
        """Raw output, as it comes; what is no whole line waits for its end, up to 16 KiB."""
        source = self._sources.get(instance_id)
        if source is None:
            return
        *lines, rest = (self._partial.pop(instance_id, b"") + data).split(b"\n")
        while len(rest) >= LONGEST_LINE:
            lines.append(rest[:LONGEST_LINE])
            rest = rest[LONGEST_LINE:]
        if rest:
            self._partial[instance_id] = rest
        if lines:
            self._add(source, lines)

    def say(self, source: Source, text: str) -> None:
        """A line of the platform's own among the owner's."""
        self._add(source, [line.encode() for line in text.splitlines()])

    def _add(self, source: Source, lines: list[bytes]) -> None:
        state = self._state(source.folder)
        stamp = f"{self._clock.now():.3f} {source.name} ".encode()
        for line in lines:
            clean = line.rstrip(b"\r")
            pieces = [clean[i : i + LONGEST_LINE] for i in range(0, len(clean), LONGEST_LINE)] or [b""]
            state.pending.extend(stamp + piece + b"\n" for piece in pieces)
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def _state(self, folder: Path) -> _Folder:
        state = self._folders.get(folder)
        if state is None:
            number = (log_files(folder) or [1])[-1]
            size = 0
            with contextlib.suppress(OSError):
                size = _file(folder, number).stat().st_size
            state = self._folders[folder] = _Folder(number, size)
        return state

    def flush(self) -> None:
        """Write what has come in; wake who waits for it."""
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        for folder, state in self._folders.items():
            if state.pending:
                pending, state.pending = state.pending, []
                with contextlib.suppress(OSError):
                    self._write(folder, state, b"".join(pending))
                state.changed.set()
                state.changed = asyncio.Event()

    def _write(self, folder: Path, state: _Folder, data: bytes) -> None:
        if state.size + len(data) > FILE_BYTES and state.size:
            state.number, state.size = state.number + 1, 0
            for number in log_files(folder):
                if number <= state.number - KEPT_FILES:
                    _file(folder, number).unlink(missing_ok=True)
        if not folder.is_dir():
            if not folder.parent.is_dir():
                return
            folder.mkdir(mode=0o700)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(_file(folder, state.number), flags, 0o600)
        try:
            state.size += os.write(descriptor, data)
        finally:
            os.close(descriptor)

    def forget(self, folder: Path) -> None:
        """The channel's files are deleted."""
        self._folders.pop(folder, None)

    # --- reading ---
    def tail(self, folder: Path, process: str, lines: int) -> tuple[LogLine, ...]:
        """The last lines of a process ("" is all)."""
        self.flush()
        return self._last(folder, process, lines).lines

    async def read(self, folder: Path, process: str, cursor: str, *, tail: int, limit: int, wait_seconds: float) -> LogPage:
        """Lines after *cursor*, or the last *tail* ones for "". Waits up to *wait_seconds* when there is nothing new.

        Raises InvalidValueError for a cursor that was not made here.
        """
        self.flush()
        limit = max(1, min(limit, MOST_LINES))
        if not cursor:
            page = self._last(folder, process, min(max(tail, 0), MOST_LINES))
            if page.lines or wait_seconds <= 0:
                return page
            cursor = page.cursor
        deadline = asyncio.get_running_loop().time() + wait_seconds
        while True:
            changed = self._state(folder).changed
            page = self._after(folder, process, cursor, limit)
            left = deadline - asyncio.get_running_loop().time()
            if page.lines or left <= 0:
                return page
            cursor = page.cursor
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await changed.wait()

    def _last(self, folder: Path, process: str, count: int) -> LogPage:
        found: list[LogLine] = []
        numbers = log_files(folder) or [1]
        left = TAIL_BYTES
        for number in reversed(numbers):
            data = _read(_file(folder, number), -left)
            left -= len(data)
            found[:0] = _matching(data.split(b"\n"), process)
            if len(found) >= count or left <= 0:
                break
        end = 0
        with contextlib.suppress(OSError):
            end = _file(folder, numbers[-1]).stat().st_size
        return LogPage(lines=tuple(found[-count:] if count else ()), cursor=f"{numbers[-1]}:{end}")

    def _after(self, folder: Path, process: str, cursor: str, limit: int) -> LogPage:
        number, offset = _parse_cursor(cursor)
        numbers = log_files(folder) or [number]
        if number not in numbers:
            number, offset = min((n for n in numbers if n > number), default=numbers[-1]), 0
        found: list[LogLine] = []
        while len(found) < limit:
            data = _read(_file(folder, number), offset)
            *whole, rest = data.split(b"\n")
            for line in whole:
                if len(found) >= limit:
                    return LogPage(lines=tuple(found), cursor=f"{number}:{offset}")
                offset += len(line) + 1
                found.extend(_matching([line], process))
            if rest and not whole:
                break
            later = [n for n in numbers if n > number]
            if data:
                continue
            if not later:
                break
            number, offset = later[0], 0
        return LogPage(lines=tuple(found), cursor=f"{number}:{offset}")


def _parse_cursor(cursor: str) -> tuple[int, int]:
    number, _, offset = cursor.partition(":")
    if not (number.isdigit() and offset.isdigit() and len(cursor) < 40):
        raise InvalidValueError("This place in the log is not known.", resolution="Read again from the end, without a cursor.")
    return int(number), int(offset)


def _read(path: Path, offset: int) -> bytes:
    """Up to TAIL_BYTES from *offset*; from the end, and from the next whole line on, when it is negative."""
    try:
        with path.open("rb") as file:
            if offset >= 0:
                file.seek(offset)
                return file.read(TAIL_BYTES)
            size = file.seek(0, os.SEEK_END)
            start = max(size + offset, 0)
            file.seek(start)
            data = file.read()
            return data if start == 0 else data.partition(b"\n")[2]
    except OSError:
        return b""


def _matching(lines: list[bytes], process: str) -> Iterator[LogLine]:
    for raw in lines:
        line = parse(raw)
        if line is not None and (not process or line.source == process or line.source.startswith(f"{process}.")):
            yield line
