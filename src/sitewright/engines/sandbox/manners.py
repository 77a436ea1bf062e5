"""Who keeps the processors busy gives way to who needs them for a moment.

The kernel divides processors fairly over time, but a site that sleeps between two visitors and then needs a millisecond may have to wait
for one that computes all the time. So an instance that has taken more than half a processor for a while weighs a sixteenth until it
stops: it still gets everything that nobody else wants, and busy ones share among themselves by their own weights.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Mapping

from sitewright.system.cgroups import ControlGroups

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
SHARE_OF_TIME = 50
"""Looking takes at most a fiftieth of one processor, however many instances run."""
BUSY_SHARE = 0.5
"""Of one processor, between two looks."""
GIVES_WAY = 16
"""A busy instance weighs so many times less."""
CALM_SECONDS = 2.0
"""After so long below ``BUSY_SHARE`` it weighs what it did."""


class Manners:
    """Looks at what running instances take. *weights* gives them: id → weight; frozen ones are harmless there."""

    def __init__(self, groups: ControlGroups, weights: Callable[[], Mapping[str, int]]) -> None:
        self._groups = groups
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
        """One look, at *now* (steady seconds). It costs one read while the sites together take less than half a processor."""
        seconds, self._at = now - self._at, now
        total, before = self._groups.cpu_seconds_of_sites(), self._total
        self._total = total
        if not self._adopted:
            self._restore_adopted()
        if total - before < BUSY_SHARE * seconds and not self._busy:
            self._used = None
            return
        weights = self._weights()
        used = {name: self._groups.cpu_seconds(name) for name in weights}
        if self._used is not None:
            for name, amount in used.items():
                if amount - self._used.get(name, amount) > BUSY_SHARE * seconds:
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
