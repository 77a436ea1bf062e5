"""What containers say, from the daemon to the sink: in order, once, and never faster than the tenant may speak.

The daemon keeps the last two MiB of each container, so nothing is lost while the node process is away. Someone who says more than the
limit is not read for a while: the flood costs its owner lines, not this process its time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from sitewright.engines.base import LogSink
from sitewright.engines.docker.daemon import NOT_FOUND, Daemon, DaemonError
from sitewright.system.clock import Clock

BURST_SECONDS = 4.0
"""How many seconds' worth of output may come at once."""
PAUSE_SECONDS = 1.0
BOOKMARK_SECONDS = 1.0
HEADER_BYTES = 8
log = logging.getLogger(__name__)


class Allowance:
    """A token bucket: *rate* bytes a second, ``BURST_SECONDS`` of them at once."""

    def __init__(self, rate: int, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._left = rate * BURST_SECONDS
        self._filled = clock.steady()

    def take(self, size: int) -> bool:
        """Whether *size* more bytes may pass now."""
        now = self._clock.steady()
        self._left = min(self._rate * BURST_SECONDS, self._left + (now - self._filled) * self._rate)
        self._filled = now
        if size > self._left:
            return False
        self._left -= size
        return True


def since_parameter(stamp: str) -> str:
    """The moment after *stamp* (2026-01-31T12:00:00.123456789Z) as seconds.nanoseconds; "0" for "". Raises ValueError."""
    if not stamp:
        return "0"
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    seconds = int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
    nanoseconds = int(fraction.ljust(9, "0")[:9] or "0") + 1
    return f"{seconds + nanoseconds // 10**9}.{nanoseconds % 10**9:09d}"


async def frames(stream: aiohttp.StreamReader | asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The payloads of the daemon's multiplexed stream, standard output and error in the order they were written."""
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            header = await stream.readexactly(HEADER_BYTES)
            yield await stream.readexactly(int.from_bytes(header[4:], "big"))


class Follower:
    """Follows one container's output until it has ended. With a *bookmark* file it goes on where a former process stopped."""

    def __init__(self, daemon: Daemon, container: str, identity: str, *, sink: LogSink, rate: int, clock: Clock) -> None:
        self._daemon = daemon
        self._path = f"containers/{container}/logs"
        self._container = container
        self._identity = identity
        self._sink = sink
        self._clock = clock
        self._rate = rate
        self._allowance = Allowance(rate, clock)
        self._stamp = ""
        self._bookmark: Path | None = None
        self._marked = clock.steady()

    def resume_from(self, bookmark: Path) -> None:
        """Remember in *bookmark* how far it has come, and begin where it says."""
        self._bookmark = bookmark
        with contextlib.suppress(OSError, ValueError):
            stamp = bookmark.read_text()
            since_parameter(stamp)
            self._stamp = stamp

    async def run(self) -> None:
        """Read until the container has ended and everything was read, through restarts of the connection."""
        since = since_parameter(self._stamp)
        silent = False
        while True:
            try:
                flooded = await self._read(since)
                running = await self._is_running()
                silent = False
            except DaemonError as error:
                if error.status == NOT_FOUND:
                    return
                if not silent:
                    log.warning("docker_log_interrupted", extra={"identity": self._identity, "details": error.details})
                flooded, running, silent = False, True, True
            if not running and not flooded:
                return
            await asyncio.sleep(PAUSE_SECONDS)
            since = f"{self._clock.now():.6f}" if flooded else since_parameter(self._stamp)

    async def _is_running(self) -> bool:
        seen = await self._daemon.find(f"containers/{self._container}/json")
        return bool(seen and seen["State"]["Running"])

    async def _read(self, since: str) -> bool:
        """Hand over what comes; True when it came too fast and was left."""
        query = {"follow": "1", "stdout": "1", "stderr": "1", "timestamps": "1", "since": since}
        try:
            async with self._daemon.stream(self._path, query) as stream:
                async for frame in frames(stream):
                    stamp, _, text = frame.partition(b" ")
                    if not self._allowance.take(len(text)):
                        notice = f"[sitewright] lines dropped: more than {self._rate // 1024} KiB a second\n"
                        self._sink(self._identity, notice.encode())
                        return True
                    self._stamp = stamp.decode(errors="replace")
                    self._sink(self._identity, text)
                    self._mark()
        finally:
            self._mark(at_once=True)
        return False

    def _mark(self, *, at_once: bool = False) -> None:
        if self._bookmark is None or not self._stamp:
            return
        now = self._clock.steady()
        if at_once or now - self._marked >= BOOKMARK_SECONDS:
            self._marked = now
            with contextlib.suppress(OSError):
                self._bookmark.write_text(self._stamp)
