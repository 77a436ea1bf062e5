"""What a plan allows, as a value, and what follows from it for a channel. Pure: an owner may ask for less than the plan, never for more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sitewright.domain.limits import MIB, Limits, VisitLimits
from sitewright.domain.sleep import MINUTE, USUAL_SLEEP, SleepPolicy
from sitewright.errors import InvalidValueError

LEAST_MEMORY_MB = 32
LEAST_CPU_MILLICORES = 50
LONGEST_SLEEP_SECONDS = 24 * 60 * MINUTE
"""How late a site may go to sleep at most, unless its plan is always on."""
VISIT_FIGURES = {
    "connections": "requests at a time",
    "requests_per_second": "requests per second",
    "body_mb": "megabytes a request",
}


@dataclass(frozen=True, slots=True)
class Allowance:
    """A plan's figures. ``stamp`` names the plan and its revision; ``disk_bytes`` is for one release, and for the data and live folder."""

    name: str = "standard"
    stamp: str = ""
    process: Limits = field(default_factory=Limits)
    disk_bytes: int = 4096 * MIB
    visits: VisitLimits = field(default_factory=VisitLimits)
    always_on: bool = False
    sleep: SleepPolicy = USUAL_SLEEP


def least_of(allowed: int, asked: int | None) -> int:
    """What holds of a figure where 0 is no bound: what is asked for, never more than what is allowed."""
    if not asked:
        return allowed
    return min(allowed, asked) if allowed else asked


def limits_of(allowance: Allowance, asked: Mapping[str, int]) -> Limits:
    """What one process may use; *asked* holds `memory_mb` and `cpu_millicores` where the owner wants less."""
    plan = allowance.process
    return Limits(
        memory_bytes=min(asked.get("memory_mb", plan.memory_bytes // MIB) * MIB, plan.memory_bytes),
        cpu_millicores=min(asked.get("cpu_millicores", plan.cpu_millicores), plan.cpu_millicores),
        cpu_weight=plan.cpu_weight,
        pids=plan.pids,
        open_files=plan.open_files,
        log_bytes_per_second=plan.log_bytes_per_second,
    )


def visits_of(allowance: Allowance, asked: Mapping[str, int]) -> VisitLimits:
    """What visitors may ask for; *asked* holds what the owner wants less of."""
    plan = allowance.visits
    return VisitLimits(
        connections=least_of(plan.connections, asked.get("connections")),
        requests_per_second=least_of(plan.requests_per_second, asked.get("requests_per_second")),
        body_mb=least_of(plan.body_mb, asked.get("body_mb")),
    )


def sleep_of(allowance: Allowance, freeze: float | None, stop: float | None) -> SleepPolicy:
    """When a channel sleeps: its own seconds, the plan's where it has none. What the plan does not allow (any more) is the plan's."""
    plan = allowance.sleep
    policy = SleepPolicy(
        freeze_after_seconds=plan.freeze_after_seconds if freeze is None else freeze,
        stop_after_seconds=plan.stop_after_seconds if stop is None else stop,
    )
    return policy if allowance.always_on or _in_time(policy.stop_after_seconds) else plan


def _in_time(stop: float) -> bool:
    return 0 < stop <= LONGEST_SLEEP_SECONDS


def check_limits(allowance: Allowance, asked: Mapping[str, int]) -> None:
    """Raise InvalidValueError, in words, for more memory or processor than the plan allows, or for too little to run at all."""
    plan = allowance.process
    for key, what, least, most in (
        ("memory_mb", "MB of memory", LEAST_MEMORY_MB, plan.memory_bytes // MIB),
        ("cpu_millicores", "thousandths of a processor", LEAST_CPU_MILLICORES, plan.cpu_millicores),
    ):
        if key in asked and not least <= asked[key] <= most:
            raise InvalidValueError(
                f"A process cannot have {asked[key]} {what}.",
                details=f"The plan “{allowance.name}” allows {least} to {most}.",
                resolution="Ask for that much, or ask an administrator for another plan.",
            )


def check_visits(allowance: Allowance, asked: Mapping[str, int]) -> None:
    """Raise InvalidValueError for more than the plan allows visitors."""
    for key, value in asked.items():
        most: int = getattr(allowance.visits, key)
        if most and value > most:
            raise InvalidValueError(
                f"{value} {VISIT_FIGURES[key]} are too many.",
                details=f"The plan “{allowance.name}” allows {most}.",
                resolution="Ask for less, or ask an administrator for another plan.",
            )


def check_sleep(allowance: Allowance, freeze: float | None, stop: float | None) -> None:
    """Raise InvalidValueError for times that make no sense, or for never sleeping when the plan does not allow it."""
    for seconds in (freeze, stop):
        if seconds is not None and not (seconds == 0 or 1 <= seconds <= 365 * 24 * 60 * MINUTE):
            raise InvalidValueError("A site goes to sleep after 1 second to 365 days.", resolution="0 is never.")
    if allowance.always_on:
        return
    wanted = allowance.sleep.stop_after_seconds if stop is None else stop
    if not _in_time(wanted):
        raise InvalidValueError(
            "On this plan a site that nobody visits is stopped within a day.",
            details=f"The plan “{allowance.name}” is not always on.",
            resolution="Choose a shorter time, or ask an administrator for a plan that is always on.",
        )
