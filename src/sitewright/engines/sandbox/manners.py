"""Who keeps the processors busy gives way to who needs them for a moment.

The kernel divides processors fairly over time, but a site that sleeps between two visitors and then needs a millisecond may have to wait
for one that computes all the time. So an instance that has taken more than half a processor for a while, or most of all while no processor
is free, weighs a sixteenth until it stops: it still gets everything that nobody else wants, and busy ones share among themselves by their
own weights.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from sitewright.system.cgroups import ControlGroups

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
SHARE_OF_TIME = 50
"""Looking takes at most a fiftieth of one processor, however many instances run."""
BUSY_SHARE = 0.5
"""Of one processor, between two looks, while one is free."""
LEAST_BUSY_SHARE = 0.05
"""Less is never busy."""
OF_THE_BUSIEST = 0.7
"""While no processor is free, who takes so much of what the busiest takes is busy as well: many together leave nobody half a one."""
FREE_SHARE = 0.1
"""Of one processor, idle between two looks: then one is free."""
GIVES_WAY = 16
"""A busy instance weighs so many times less."""
CALM_SECONDS = 2.0
"""After so long below ``BUSY_SHARE`` it weighs what it did."""


def idle_seconds() -> float:
    """How long all processors together had nothing to do since boot (proc(5), stat)."""
    with Path("/proc/stat").open() as file:
        fields = file.readline().split()
    return (int(fields[4]) + int(fields[5])) / os.sysconf("SC_CLK_TCK")


def busy_ones(taken: Mapping[str, float], seconds: float, *, free: bool) -> list[str]:
    """Who of those that took so many CPU seconds within *seconds* is to give way; *free*: a processor had nothing to do meanwhile."""
    most = max(taken.values(), default=0.0) / seconds
    bound = BUSY_SHARE if free else min(BUSY_SHARE, max(LEAST_BUSY_SHARE, OF_THE_BUSIEST * most))
    return [name for name, amount in taken.items() if amount > bound * seconds]


class Manners:
    """Looks at what running instances take. *weights* gives them: id → weight. *idle*: see ``idle_seconds``."""

    def __init__(self, groups: ControlGroups, weights: Callable[[], Mapping[str, int]], idle: Callable[[], float] = idle_seconds) -> None:
        self._groups = groups
        self._idle = idle
        self._idle_before = 0.0
        self._weights = weights
        self._at = -math.inf
        self._total = 0.0
        self._used: dict[str, float] | None = None
        """CPU seconds at the last look; None when nobody was busy enough to look at each."""
        self._busy: dict[str, float] = {}
        """Who gives way, and until when if it stays calm."""
        self._adopted = False

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            began = time.monotonic()
            try:
                self.look(began)
            except Exception:
                log.exception("manners.not_watched")
            await asyncio.sleep(max(LOOK_SECONDS, SHARE_OF_TIME * (time.monotonic() - began)))

    @property
    def busy(self) -> frozenset[str]:
        """Who gives way now."""
        return frozenset(self._busy)

    def look(self, now: float) -> None:
        """One look, at *now* (steady seconds). It costs one read while the sites together take next to nothing."""
        seconds, self._at = now - self._at, now
        total, before = self._groups.cpu_seconds_of_sites(), self._total
        self._total = total
        if not self._adopted:
            self._restore_adopted()
        if total - before < LEAST_BUSY_SHARE * seconds and not self._busy:
            self._used = None
            return
        idle, idle_before = self._idle(), self._idle_before
        self._idle_before = idle
        weights = self._weights()
        used = {name: self._groups.cpu_seconds(name) for name in weights}
        if self._used is not None:
            taken = {name: amount - self._used.get(name, amount) for name, amount in used.items()}
            for name in busy_ones(taken, seconds, free=idle - idle_before > FREE_SHARE * seconds):
                self._demote(name, weights[name], now)
        self._used = used
        for name in [name for name, until in self._busy.items() if until <= now or name not in weights]:
            del self._busy[name]
            if name in weights:
                self._weigh(name, weights[name])

    def _restore_adopted(self) -> None:
        """An engine object before this one may have left instances light."""
        self._adopted = True
        for name, weight in self._weights().items():
            self._weigh(name, weight)

    def _demote(self, name: str, weight: int, now: float) -> None:
        if name not in self._busy:
            self._weigh(name, max(1, weight // GIVES_WAY))
        self._busy[name] = now + CALM_SECONDS

    def _weigh(self, name: str, weight: int) -> None:
        with contextlib.suppress(OSError):
            self._groups.set_weight(name, weight)
