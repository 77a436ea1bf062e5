"""What happened when a limit was hit, for the site's timeline in plain words.

The engine counts; this compares the counts of two looks. Each kind is told at most once an hour a channel, with everything that came
together meanwhile. That an app has used up its open files nobody outside can see: it gets an error of its own and its log has it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from sitewright.domain.desired import DesiredChannel
from sitewright.domain.events import EventKind
from sitewright.domain.limits import MIB, Limits, VisitLimits
from sitewright.domain.traffic import HostTraffic
from sitewright.engines.base import EngineState, Observed, Stats
from sitewright.errors import SitewrightError
from sitewright.orchestrator.daemon import Orchestrator
from sitewright.orchestrator.observe import index_of
from sitewright.orchestrator.tally import when

log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
SHARE_OF_TIME = 100
"""Looking takes at most a hundredth of one processor, however many instances there are."""
WINDOW_SECONDS = 300.0
THROTTLED_SHARE = 0.5
"""Of the CPU periods of a window: held back in more than these is worth telling."""
LEAST_PERIODS = 600
"""In fewer it hardly ran: a minute's worth of the window."""
TELL_AGAIN_SECONDS = 3600.0


class Hit(StrEnum):
    """Which limit."""

    CPU = "cpu"
    PIDS = "pids"
    OUTPUT = "output"
    VISITS = "visits"


@dataclass(frozen=True, slots=True)
class Sample:
    """CPU periods of an instance at a time (steady seconds)."""

    at: float
    periods: int
    throttled: int


@dataclass(slots=True)
class Watched:
    """What was seen of one instance. ``samples`` reach back one window."""

    stats: Stats
    samples: deque[Sample] = field(default_factory=deque)

    def throttled_share(self, now: float, stats: Stats) -> float:
        """Of the last window; 0 while it has not been watched that long or hardly ran."""
        self.samples.append(Sample(now, stats.cpu_periods, stats.cpu_throttled))
        while len(self.samples) > 1 and now - self.samples[1].at >= WINDOW_SECONDS:
            self.samples.popleft()
        first = self.samples[0]
        periods = stats.cpu_periods - first.periods
        if now - first.at < WINDOW_SECONDS or periods < LEAST_PERIODS:
            return 0.0
        return (stats.cpu_throttled - first.throttled) / periods


@dataclass(slots=True)
class Pending:
    """What has come together since its owner was told last."""

    amount: int = 0
    who: str = ""


class LimitWatch:
    """Looks at running instances now and then, and takes what the router counted."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._tools = orchestrator.tools
        self._watched: dict[str, Watched] | None = None
        self._pending: dict[tuple[str, Hit], Pending] = defaultdict(Pending)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            began = self._tools.clock.steady()
            try:
                await self.look()
            except Exception:
                log.exception("limits.not_watched")
            await asyncio.sleep(max(LOOK_SECONDS, SHARE_OF_TIME * (self._tools.clock.steady() - began)))

    async def look(self) -> None:
        """Compare every running instance with the last look, and tell what is due."""
        known, seen = self._watched, dict[str, Watched]()
        for desired in self._orchestrator.running():
            for item in self._orchestrator.observed(desired.channel_id):
                if item.state is EngineState.RUNNING:
                    try:
                        stats = await self._tools.engine.stats(item.spec.id)
                    except SitewrightError:
                        continue
                    # What an adopted instance has counted before this process began was told by the one before.
                    before = Watched(stats) if known is None else known.get(item.spec.id, Watched(Stats()))
                    seen[item.spec.id] = before
                    self._compare(desired, item, before, stats)
                elif known is not None and item.spec.id in known:
                    seen[item.spec.id] = known[item.spec.id]
        self._watched = seen
        self._tell_pending()

    def _compare(self, desired: DesiredChannel, item: Observed, before: Watched, stats: Stats) -> None:
        who = f"{item.spec.process}.{index_of(item)}"
        self._note(desired.channel_id, Hit.PIDS, stats.forks_refused - before.stats.forks_refused, who)
        self._note(desired.channel_id, Hit.OUTPUT, stats.dropped_bytes - before.stats.dropped_bytes, who)
        share = before.throttled_share(self._tools.clock.steady(), stats)
        if share > THROTTLED_SHARE:
            self._pending[desired.channel_id, Hit.CPU] = Pending(round(share * 100), who)
        before.stats = stats

    def note_traffic(self, batch: Iterable[HostTraffic]) -> None:
        """What the router refused because of a site's own limits."""
        for traffic in batch:
            if traffic.limited:
                self._note(self._orchestrator.store.channel_of(traffic.host), Hit.VISITS, traffic.limited, "")

    def _note(self, channel_id: str, hit: Hit, more: int, who: str) -> None:
        if more > 0 and channel_id:
            pending = self._pending[channel_id, hit]
            pending.amount, pending.who = pending.amount + more, who

    def _tell_pending(self) -> None:
        now = self._tools.clock.now()
        for channel_id, hit in list(self._pending):
            desired = self._orchestrator.store.get(channel_id)
            if desired is None or desired.removed:
                self._pending.pop((channel_id, hit))
            elif self._tools.events.tally.due(channel_id, f"told-{hit}", now, TELL_AGAIN_SECONDS):
                self._tell(desired, hit, self._pending.pop((channel_id, hit)))

    def _tell(self, desired: DesiredChannel, hit: Hit, pending: Pending) -> None:
        kind = EventKind.LOG_LINES_DROPPED if hit is Hit.OUTPUT else EventKind.LIMITED
        process = pending.who.partition(".")[0]
        text = in_words(hit, pending, desired.scale_of(process).limits, desired.visits)
        self._tools.events.emit(kind, desired.site_id, desired.channel_id, f"{text} ({when(self._tools.clock.now())})")


def in_words(hit: Hit, pending: Pending, limits: Limits, visits: VisitLimits) -> str:
    """For the owner: which limit, what it was, what came of it, what to do."""
    match hit:
        case Hit.CPU:
            return (
                f"{pending.who} wants more than its {_processors(limits.cpu_millicores)}: it was held back in {pending.amount} % of the "
                "last 5 minutes, so its answers are slow. Look for what keeps it busy, or give it more."
            )
        case Hit.PIDS:
            return (
                f"{pending.who} reached its limit of {limits.pids} processes and threads: {pending.amount:,} more could not be started. "
                "What runs goes on."
            )
        case Hit.OUTPUT:
            return (
                f"Lines of the log of {pending.who} were dropped: {_size(pending.amount)} more than the "
                f"{_size(limits.log_bytes_per_second)} a second that are kept."
            )
        case Hit.VISITS:
            return f"{pending.amount:,} requests were turned away, because there were more than the site's limits allow{_bounds(visits)}."


def _processors(millicores: int) -> str:
    return f"{millicores / 1000:g} processor{'s' * (millicores > 1000)}"


def _size(amount: int) -> str:
    return f"{amount / MIB:,.0f} MB" if amount >= MIB else f"{max(1, amount // 1024)} KB"


def _bounds(visits: VisitLimits) -> str:
    parts = [f"{visits.requests_per_second} requests a second"] if visits.requests_per_second else []
    parts += [f"{visits.connections} at a time"] if visits.connections else []
    return f": {' and '.join(parts)}" if parts else ""
