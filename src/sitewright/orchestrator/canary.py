"""Is a release on trial worse than the one before? Pure; the rule is documented in docs/explanation/rollouts.md.

Both are judged by what visitors got from them since the new one began to serve. Each condition asks for enough answers, for a factor and
for a margin, so that neither chance nor a small number alone takes a good release out.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from sitewright.domain.traffic import LATENCY_BUCKETS, SlotTraffic

ENOUGH_FOR_ERRORS = 20
"""Answers of the new release before its errors are judged."""
FEWEST_ERRORS = 5
ERROR_FACTOR = 2.0
ERROR_MARGIN = 0.05
"""Share of all answers."""
ERROR_SIGMAS = 3.0
"""How improbable the difference must be if both were alike: one in 700."""
ENOUGH_FOR_LATENCY = 100
"""Answers of each release before their times are judged."""
MEDIAN_FACTOR, MEDIAN_MARGIN_SECONDS = 1.5, 0.05
SLOWEST = 0.95
SLOWEST_FACTOR, SLOWEST_MARGIN_SECONDS = 2.0, 0.2
NOT_COUNTED_SECONDS = 2.0
"""What was answered so soon after the slots changed hands may have been begun before."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What one release answered. ``latency``: how many answers fell into each of LATENCY_BUCKETS, and into one more."""

    requests: int = 0
    errors: int = 0
    latency: tuple[int, ...] = ()

    def plus(self, traffic: SlotTraffic) -> Tally:
        """With that slot's answers too."""
        longest = max(len(self.latency), len(traffic.latency))
        mine, more = (counts + (0,) * (longest - len(counts)) for counts in (self.latency, traffic.latency))
        latency = tuple(a + b for a, b in zip(mine, more, strict=True))
        return Tally(self.requests + traffic.requests, self.errors + traffic.errors, latency)

    @property
    def error_share(self) -> float:
        """Errors of all answers, 0 to 1."""
        return self.errors / self.requests if self.requests else 0.0

    def bounds(self, quantile: float) -> tuple[float, float]:
        """Between which seconds that quantile surely lies; (0, 0) when nothing was timed, an upper bound of inf for the last bucket."""
        total = sum(self.latency)
        below = 0
        edges = (0.0, *LATENCY_BUCKETS, float("inf"))
        for bucket, count in enumerate(self.latency[: len(LATENCY_BUCKETS) + 1]):
            below += count
            if count and below >= quantile * total:
                return edges[bucket], edges[bucket + 1]
        return 0.0, 0.0

    def about(self, quantile: float) -> float:
        """Roughly that quantile in seconds: the middle of its bucket."""
        low, high = self.bounds(quantile)
        return low if high == float("inf") else (low + high) / 2


@dataclass(frozen=True, slots=True)
class Trial:
    """A release on trial, as it is kept on disk. ``serving_since`` is 0 until it has its slots; ``aborted`` says why it was taken out."""

    release_id: str
    serving_since: float = 0.0
    new: Tally = Tally()
    old: Tally = Tally()
    aborted: str = ""


def judge(trial: Trial) -> str:
    """Why the release on trial is worse, in words for its owner; "" while nothing speaks against it."""
    return _errors(trial.new, trial.old) or _latency(trial.new, trial.old)


def _errors(new: Tally, old: Tally) -> str:
    if new.requests < ENOUGH_FOR_ERRORS or new.errors < FEWEST_ERRORS:
        return ""
    if new.error_share < old.error_share + ERROR_MARGIN or new.error_share < old.error_share * ERROR_FACTOR:
        return ""
    together = (new.errors + old.errors) / (new.requests + old.requests)
    spread = sqrt(together * (1 - together) * (1 / new.requests + 1 / max(old.requests, 1)))
    if old.requests and new.error_share - old.error_share < ERROR_SIGMAS * spread:
        return ""
    return (
        f"{new.errors} of its {new.requests} answers were errors ({new.error_share:.0%}); "
        f"the release before had {old.errors} of {old.requests} ({old.error_share:.0%})"
    )


def _latency(new: Tally, old: Tally) -> str:
    """The times are known as buckets: only what is worse wherever in their buckets both lie counts."""
    if min(sum(new.latency), sum(old.latency)) < ENOUGH_FOR_LATENCY:
        return ""
    rules = (
        (0.5, "half of its answers take", MEDIAN_FACTOR, MEDIAN_MARGIN_SECONDS),
        (SLOWEST, "one of twenty answers takes", SLOWEST_FACTOR, SLOWEST_MARGIN_SECONDS),
    )
    for quantile, words, factor, margin in rules:
        at_least, at_most = new.bounds(quantile)[0], old.bounds(quantile)[1]
        if at_least >= at_most * factor and at_least >= at_most + margin:
            return f"it is slower: {words} over {at_least:g} s; with the release before it is under {at_most:g} s"
    return ""
