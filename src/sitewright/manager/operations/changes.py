"""Wakes streams of this process when an operation's row has changed. Losing a call costs a second, never the news: streams also look."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import defaultdict
from collections.abc import Iterator


class Bell:
    """One stream's ear: rung from any thread, heard in the loop that made it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """From any thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended, and its streams with it
            self._loop.call_soon_threadsafe(self._rung.set)

    async def heard(self, seconds: float) -> None:
        """Wait until it was rung since the last time, at most that long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        self._rung.clear()


class Changes:
    """Who listens to which operation."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bells: defaultdict[str, list[Bell]] = defaultdict(list)

    def tell(self, operation_id: str) -> None:
        """Its row has changed, and the change is committed."""
        with self._lock:
            bells = tuple(self._bells.get(operation_id, ()))
        for bell in bells:
            bell.ring()

    @contextlib.contextmanager
    def listening(self, operation_id: str) -> Iterator[Bell]:
        """A bell that rings at each change. Call it in the loop that waits."""
        bell = Bell()
        with self._lock:
            self._bells[operation_id].append(bell)
        try:
            yield bell
        finally:
            with self._lock:
                self._bells[operation_id].remove(bell)
                if not self._bells[operation_id]:
                    del self._bells[operation_id]
