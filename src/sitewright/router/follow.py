"""Follows nginx's access log: each second what was added is counted and handed on, and logs that have grown too long are put aside.

Its place in the log is kept in memory only. A new follower starts near the end, with what was written in the last seconds: so a restart
of the node loses nothing, and may count those seconds twice. Nobody who visits ever waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from sitewright.config.paths import Paths
from sitewright.domain.traffic import HostTraffic
from sitewright.router.traffic import TrafficCount
from sitewright.system.clock import Clock, SystemClock

log = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
CHUNK_BYTES = 128 * 1024
"""Read and counted in one go: about 350 lines, two milliseconds of the node's loop."""
RECENT_SECONDS = 10.0
RECENT_BYTES = 1024 * 1024
"""How much of the log a new follower looks back on."""
LONGEST_LINE = 64 * 1024
MOST_BYTES = {"access.log": 64 * 1024 * 1024, "nginx-error.log": 16 * 1024 * 1024}
"""Logs grow to about that, and the one before is kept: at most twice that on disk."""
DRAIN_SECONDS = 3.0
"""nginx holds lines back for up to a second; after so long without a new line in the one put aside, there come no more."""

Take = Callable[[tuple[HostTraffic, ...]], None]


@dataclass(slots=True)
class _Open:
    """The file that is being read."""

    descriptor: int
    inode: int
    position: int
    rest: bytes = b""
    grown_at: float = 0.0


class TrafficFollower:
    """Reads the access log. ``reopen`` tells nginx to open its logs anew."""

    def __init__(self, paths: Paths, clock: Clock | None = None, reopen: Callable[[], None] | None = None) -> None:
        self._logs = paths.logs
        self._path = paths.logs / "access.log"
        self._clock = clock or SystemClock()
        self._reopen = reopen or (lambda: reopen_logs(paths.run / "nginx" / "nginx.conf"))
        self._count = TrafficCount(paths.routes)
        self._open: _Open | None = None
        self._since, self._old_bytes = 0.0, 0

    async def run(self, takers: Iterable[Take]) -> None:
        """Hand each second's counts to each of *takers*, for ever."""
        with contextlib.suppress(OSError):
            self.start()
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await self._catch_up()
                batch = self._count.take()
                for take in takers if batch else ():
                    take(batch)
                await asyncio.to_thread(self.rotate)
            except Exception:
                log.exception("traffic.trouble")

    async def _catch_up(self) -> None:
        """Read to the end, letting others have their turn in between."""
        for _ in iter(self.step, False):
            await asyncio.sleep(0)

    def start(self) -> None:
        """Open the log near its end."""
        self._since = self._clock.now() - RECENT_SECONDS  # Only for what is there already: a clock may be set back later.
        self._open = self._opened()
        if self._open is not None:
            self._old_bytes = os.fstat(self._open.descriptor).st_size
            self._open.position = max(0, self._old_bytes - RECENT_BYTES)

    def step(self) -> bool:
        """Count the next piece of the log; whether there may be more."""
        current = self._open
        if current is None:
            self._open = current = self._opened()
        if current is None:
            return False
        size = os.fstat(current.descriptor).st_size
        if size < current.position:
            current.position, current.rest, self._old_bytes = 0, b"", 0
        since = self._since if current.position < self._old_bytes else 0.0
        data = os.pread(current.descriptor, CHUNK_BYTES, current.position)
        if not data:
            return self._next(current)
        current.position += len(data)
        current.grown_at = self._clock.steady()
        whole, newline, rest = (current.rest + data).rpartition(b"\n")
        current.rest = rest if len(rest) <= LONGEST_LINE else b""
        if newline:
            self._count.add(whole, since)
        return len(data) == CHUNK_BYTES

    def take(self) -> tuple[HostTraffic, ...]:
        """What was counted since the last time."""
        return self._count.take()

    def rotate(self) -> None:
        """Put logs aside that have grown too long, and have nginx begin new ones; the one that is read only when it is the latest."""
        wanting = False
        for name, most in MOST_BYTES.items():
            path = self._logs / name
            try:
                there = path.stat()
                if there.st_size >= most and (path != self._path or self._open is None or self._open.inode == there.st_ino):
                    path.replace(path.with_name(f"{name}.1"))
                    wanting = True
            except FileNotFoundError:
                wanting = wanting or path.with_name(f"{name}.1").exists()
        if wanting:
            self._reopen()

    def close(self) -> None:
        """Let go of the file."""
        if self._open is not None:
            os.close(self._open.descriptor)
            self._open = None

    def _opened(self) -> _Open | None:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        return _Open(descriptor, os.fstat(descriptor).st_ino, 0, grown_at=self._clock.steady())

    def _next(self, current: _Open) -> bool:
        """Go on to the log that took this one's place, when nothing more comes into this one; whether there is one."""
        try:
            there = self._path.stat().st_ino
        except FileNotFoundError:
            return False
        if there == current.inode or self._clock.steady() - current.grown_at < DRAIN_SECONDS:
            return False
        following = self._opened()
        if following is not None:
            os.close(current.descriptor)
            self._open, self._old_bytes = following, 0
        return following is not None


def reopen_logs(config: Path) -> None:
    """Tell every nginx that runs with *config* to open its logs anew (USR1): also one that is giving way to another.

    They are found by their names, which nginx sets, and their user: its pid file belongs to the latest of them only.
    """
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if entry.stat().st_uid == os.geteuid():
                title = Path(entry.path, "cmdline").read_bytes()
                if title.startswith(b"nginx: master process") and os.fsencode(config) in title:
                    os.kill(int(entry.name), signal.SIGUSR1)
