"""Time as a value that can be injected."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for records, steady time for durations; both in seconds."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def steady(self) -> float:
        """Seconds that never jump; only differences mean something."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def steady(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()


class FakeClock:
    """A clock that moves when told to."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now
        self._steady = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._now

    def steady(self) -> float:
        """Seconds that never jump."""
        return self._steady

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds
        self._steady += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, as NTP or an administrator would; steady time is unmoved."""
        self._now += seconds
