"""What a sandbox writes: read in big pieces, handed on, and above the limit dropped cheaply."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os

from sitewright.engines.base import LogSink
from sitewright.system.clock import Clock

_CHUNK = 256 * 1024
_PIPE_BYTES = 256 * 1024
_PAUSE_SECONDS = 0.02
"""While dropping, read this seldom: a flood then costs a few wake-ups a second instead of thousands."""
_MARKER_SECONDS = 1.0
_BURST_SECONDS = 4.0
"""A quiet program may say this many seconds' worth at once: a traceback or a start banner is not a flood."""


def make_pipe_wide(descriptor: int) -> None:
    """Room for output while nobody reads (the engine being restarted). Failing is fine: the user's quota of pipe pages may be used up."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


class OutputReader:
    """Hands what comes out of *descriptor* (non-blocking, owned from now on) to the sink, at most *rate* bytes a second.

    What exceeds that is read and thrown away; once a second a line says how many lines that were.
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
        self._dropped_lines = 0
        self._mid_line = False
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
        room = int(self._budget)
        if len(data) <= room:
            self._budget -= len(data)
            self._give(data)
            return
        cut = data.rfind(b"\n", 0, room) + 1
        if cut:
            self._budget -= cut
            self._give(data[:cut])
        if self._marker is None:
            self._marker = self._loop.call_later(_MARKER_SECONDS, self._flush_marker)
        self._dropped_lines += max(1, data.count(b"\n", cut))
        self._pause()

    def _give(self, data: bytes) -> None:
        self._mid_line = not data.endswith(b"\n")
        self._sink(self.name, data)

    def _say_dropped(self) -> None:
        count, self._dropped_lines = self._dropped_lines, 0
        start = "\n" if self._mid_line else ""
        self._mid_line = False
        self._sink(self.name, f"{start}… {count} lines dropped: more than {self.rate} bytes a second\n".encode())

    def _pause(self) -> None:
        self._loop.remove_reader(self._descriptor)
        self._timer = self._loop.call_later(_PAUSE_SECONDS, self._resume)

    def _resume(self) -> None:
        self._timer = None
        if self._descriptor < 0:
            return
        self._loop.add_reader(self._descriptor, self._readable)

    def _flush_marker(self) -> None:
        if self._marker is not None:
            self._marker.cancel()
            self._marker = None
        if self._dropped_lines:
            self._say_dropped()

    def drain(self) -> None:
        """Take what is there now; for the last words of a program that has ended."""
        for _ in range(16):
            if self._descriptor < 0:
                return
            data = self._read()
            if data is None:
                break
            if data == b"":
                self._end()
                return
            self._take(data)
        self._flush_marker()

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
