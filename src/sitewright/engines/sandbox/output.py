"""What a sandbox writes: read in big pieces, handed on, and above the limit dropped cheaply.

While a flood goes on the pipe is emptied less and less often, so that it is the writer who waits, and this process has next to nothing to
do: ten reads a second, none of whose contents it looks through.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os

from sitewright.engines.base import LogSink
from sitewright.system.clock import Clock

_CHUNK = 256 * 1024
_PIPE_BYTES = 256 * 1024
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.02, 0.1
"""While dropping, look this seldom: at first soon again, so that a burst hardly holds its writer up, then less and less often."""
_PAUSE_GROWTH = 1.25
_MOST_READS = 16
_LAST_WORDS = 4096
"""Bytes that are kept of the end, whatever came before: a program that floods and crashes has said why."""
_MARKER_SECONDS = 1.0
_BURST_SECONDS = 4.0
"""A quiet program may say this many seconds' worth at once: a traceback or a start banner is not a flood."""


def make_pipe_wide(descriptor: int) -> None:
    """Room for output while nobody reads (the engine being restarted). Failing is fine: the user's quota of pipe pages may be used up."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


class OutputReader:
    """Hands what comes out of *descriptor* (non-blocking, owned from now on) to the sink, at most *rate* bytes a second.

    What exceeds that is read and thrown away; once a second a line says how much that was, and ``dropped_bytes`` counts it.
    """

    def __init__(self, name: str, descriptor: int, rate: int, sink: LogSink, clock: Clock) -> None:
        self.name = name
        self.rate = rate
        self.ended = asyncio.Event()
        self._descriptor = descriptor
        self._sink = sink
        self._clock = clock
        self._budget = rate * _BURST_SECONDS
        self._filled_at = clock.steady()
        self.dropped_bytes = 0
        self._told_bytes = 0
        self._mid_line = False
        self._cut = False
        """What comes next is the rest of a line whose beginning was thrown away."""
        self._pause_seconds = _PAUSE_SECONDS
        self._timer: asyncio.TimerHandle | None = None
        self._marker: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(descriptor, self._readable)

    def _read(self) -> bytes | None:
        """The next bytes; b"" at the end, None when there is nothing now."""
        try:
            return os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def _readable(self) -> None:
        data = self._read()
        if data == b"":
            self._end()
        elif data:
            self._take(data)

    def _take(self, data: bytes) -> None:
        now = self._clock.steady()
        self._budget = min(self.rate * _BURST_SECONDS, self._budget + (now - self._filled_at) * self.rate)
        self._filled_at = now
        if self._cut:
            data = self._from_next_line(data)
        room = int(self._budget)
        if len(data) <= room:
            self._pause_seconds = _PAUSE_SECONDS
            self._budget -= len(data)
            self._give(data)
            return
        cut = data.rfind(b"\n", 0, room) + 1
        if cut:
            self._budget -= cut
            self._give(data[:cut])
        self._drop(len(data) - cut)
        self._cut = not data.endswith(b"\n")
        self._pause()

    def _from_next_line(self, data: bytes) -> bytes:
        end = data.find(b"\n") + 1
        self._drop(end or len(data))
        self._cut = not end
        return data[end:] if end else b""

    def _drop(self, size: int) -> None:
        self.dropped_bytes += size
        if self._marker is None:
            self._marker = self._loop.call_later(_MARKER_SECONDS, self._flush_marker)

    def _give(self, data: bytes) -> None:
        if data:
            self._mid_line = not data.endswith(b"\n")
            self._sink(self.name, data)

    def _say_dropped(self) -> None:
        count, self._told_bytes = self.dropped_bytes - self._told_bytes, self.dropped_bytes
        start = "\n" if self._mid_line else ""
        self._mid_line = False
        self._sink(self.name, f"{start}… lines dropped ({_in_words(count)}): more than {_in_words(self.rate)} a second\n".encode())

    def _pause(self) -> None:
        self._loop.remove_reader(self._descriptor)
        self._timer = self._loop.call_later(self._pause_seconds, self._resume)
        self._pause_seconds = min(_LONGEST_PAUSE_SECONDS, self._pause_seconds * _PAUSE_GROWTH)

    def _resume(self) -> None:
        self._timer = None
        if self._descriptor >= 0:
            self._loop.add_reader(self._descriptor, self._readable)

    def _flush_marker(self) -> None:
        if self._marker is not None:
            self._marker.cancel()
            self._marker = None
        if self.dropped_bytes > self._told_bytes:
            self._say_dropped()

    def drain(self) -> None:
        """Take what is there now, the last words of a program that has ended: when it is too much, its end is kept all the same."""
        held, ended = b"", False
        for _ in range(_MOST_READS):
            data = self._read() if self._descriptor >= 0 else None
            if not data:
                ended = data == b""
                break
            held += data
        if held:
            self._take_last(held)
        self._flush_marker()
        if ended:
            self._end()

    def _take_last(self, data: bytes) -> None:
        room = int(self._budget)
        if not self._cut and len(data) <= room:
            self._give(data)
            return
        self._cut = False
        start = data.find(b"\n", max(len(data) - max(room, _LAST_WORDS), 0)) + 1
        self._drop(start)
        self._flush_marker()
        self._give(data[start:])

    def _end(self) -> None:
        self._flush_marker()
        self.close()

    def close(self) -> None:
        """Stop reading and close the descriptor."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
        for timer in (self._timer, self._marker):
            if timer is not None:
                timer.cancel()
        self._timer = self._marker = None
        self.ended.set()


def _in_words(size: int) -> str:
    for unit, bytes_each in (("MB", 1024 * 1024), ("KB", 1024)):
        if size >= bytes_each:
            return f"{size / bytes_each:.0f} {unit}"
    return f"{size} bytes"
