"""Which due times of a cron process are to be run, and which were missed. Pure.

Never twice: a due time counts as handled, on disk, before its run is started. Never made up for: what was due while nobody looked is
told and left out, except when it was due within the last minute.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sitewright.builder.schedule import next_time
from sitewright.domain.processes import Schedule

LATE_SECONDS = 60.0
"""A run may begin so late; later it is missed."""
MOST_COUNTED = 100
"""Missed runs are counted up to here; nobody goes through a year of minutes."""
SET_BACK_SECONDS = 86_400.0
"""The clock is so much earlier than what was handled last: it had been wrong, and the schedule begins anew."""
MOST_REMEMBERED = 32
"""Due times that were run: a clock that was set back runs none of them again."""
MOST_AT_ONCE = 10
"""Runs of one channel that may go on side by side, whatever was asked for: each may take as much memory as a web process."""
LONGEST_RUN_SECONDS = 86_400.0
LOST_SECONDS = 10.0
"""A run that was noted so long ago and is not there has never begun, or went down with the machine."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run under way. ``id`` is its instance's; times are seconds since the epoch."""

    id: str
    due: float
    started_at: float


@dataclass(frozen=True, slots=True)
class CronState:
    """What is kept, on disk, of one cron process. Times are seconds since the epoch, 0 is never.

    ``schedule``: what ``handled`` was found by; None while the schedule rests (the site is off). ``handled``: due times up to here are
    done with. ``ran``: the last due times that were started. ``skipped``: how many were left out because of the run that goes on.
    """

    process: str
    schedule: Schedule | None = None
    handled: float = 0.0
    next_at: float = 0.0
    runs: tuple[Run, ...] = ()
    ran: tuple[float, ...] = ()
    skipped: int = 0
    last_at: float = 0.0
    last_seconds: float = 0.0
    last_result: str = ""

    def begun(self, run: Run) -> CronState:
        """With that run under way."""
        ran = (*self.ran, run.due)[-MOST_REMEMBERED:]
        return replace(self, runs=(*self.runs, run), ran=ran, last_at=run.started_at, last_result="")

    def ended(self, run_id: str, now: float, result: str) -> CronState:
        """Without that run, which ended now. The same when it is not under way."""
        run = next((r for r in self.runs if r.id == run_id), None)
        if run is None:
            return self
        others = tuple(r for r in self.runs if r.id != run_id)
        return replace(self, runs=others, skipped=0, last_seconds=max(now - run.started_at, 0.0), last_result=result)


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the clock found: ``due`` is the due time to run now, 0 for none; ``missed`` are those that are too late."""

    state: CronState
    due: float = 0.0
    missed: tuple[float, ...] = ()


def look(state: CronState, schedule: Schedule, now: float) -> Look:
    """What of *schedule* is due at *now* and not handled yet. The new state has all of it handled."""
    if state.schedule != schedule or state.handled - now > SET_BACK_SECONDS:
        return Look(replace(state, schedule=schedule, handled=now, next_at=next_time(schedule, now)))
    if state.next_at and now < state.next_at:
        return Look(state)
    passed = _passed(schedule, state.handled, now)
    handled = passed[-1] if passed else state.handled
    after = replace(state, handled=handled, next_at=next_time(schedule, handled))
    if not passed or now - handled > LATE_SECONDS:
        return Look(after, missed=tuple(passed))
    return Look(after, due=0.0 if handled in state.ran else handled, missed=tuple(passed[:-1]))


def _passed(schedule: Schedule, after: float, now: float) -> list[float]:
    """The due times between *after* and *now*: the first hundred, and those of the last minute."""
    found: list[float] = []
    due = next_time(schedule, after)
    while due and due <= now:
        found.append(due)
        if len(found) == MOST_COUNTED and due < now - LATE_SECONDS:
            due = now - LATE_SECONDS - 1.0
        due = next_time(schedule, due)
    return found


def lost(state: CronState, there: frozenset[str], now: float) -> tuple[Run, ...]:
    """Runs that were noted and are not there."""
    return tuple(r for r in state.runs if r.id not in there and not 0 <= now - r.started_at < LOST_SECONDS)
