"""What ends by itself: runs of cron processes, and boxes in which somebody runs a command. Pure.

A run is an instance, so that it survives a restart of the node; it is never replaced by a newer release, and its end is no crash.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from sitewright.domain.desired import DesiredChannel
from sitewright.domain.events import EventKind
from sitewright.domain.processes import Schedule
from sitewright.domain.states import InstanceState, Mode, Power
from sitewright.orchestrator.cron import LONGEST_RUN_SECONDS, LOST_SECONDS, MOST_AT_ONCE, CronState, Look, look, lost
from sitewright.orchestrator.model import LIVE_STATES, ONE_OFF, Actual, Instance, Serving, Wanted, is_job, job_scale, wanted_of
from sitewright.orchestrator.steps import EndRun, NoteCron, Remove, StartRun, Step, Stop

GRACE_SECONDS = 10.0


@dataclass
class Jobs:
    """Steps, and when to look again at the latest."""

    steps: list[Step] = field(default_factory=list)
    next_at: float | None = None
    running: int = 0
    """Runs of cron processes under way, those that these steps start included."""

    def wake_at(self, at: float) -> None:
        """Plan again no later than *at*."""
        self.next_at = at if self.next_at is None else min(self.next_at, at)


def schedules(desired: DesiredChannel, serving: Serving | None) -> dict[str, Wanted]:
    """The cron processes of the release that visitors get, by name; none while the site is off."""
    if serving is None or desired.power is Power.OFF or desired.removed:
        return {}
    found = {}
    for spec in serving.release.blueprint.processes:
        scale = job_scale(desired, spec.type)
        if spec.schedule is not None and desired.scale_of(spec.type).count > 0:
            found[spec.type] = wanted_of(desired, serving.release, spec, replace(scale, count=1))
    return found


def plan_jobs(desired: DesiredChannel, actual: Actual, now: float) -> Jobs:
    """What to do now about what ends by itself."""
    jobs = Jobs()
    wanted = schedules(desired, actual.serving)
    states = {state.process: state for state in actual.crons}
    runs: dict[str, list[Instance]] = {}
    for instance in actual.instances:
        if instance.process == ONE_OFF:
            _look_after(instance, jobs)
        elif is_job(instance.process):
            runs.setdefault(instance.process, []).append(instance)
            jobs.running += _goes_on(instance)
    for process in dict.fromkeys((*wanted, *states, *runs)):
        state = _tend(desired, states.get(process, CronState(process)), runs.get(process, []), now, jobs)
        if process in wanted:
            mode = actual.serving.mode if actual.serving is not None else desired.mode
            _due(_Clockwork(wanted[process], mode), state, runs.get(process, []), now, jobs)
        elif process in states and desired.power is Power.ON and not state.runs and not runs.get(process):
            jobs.steps.append(NoteCron(state, forget=True))
        elif state.schedule is not None:
            jobs.steps.append(NoteCron(replace(state, schedule=None, next_at=0.0)))
    return jobs


def _look_after(instance: Instance, jobs: Jobs) -> None:
    """A box that nobody attends any more goes."""
    if instance.state is InstanceState.CRASHED:
        jobs.steps.append(Remove(instance))
    elif instance.state is InstanceState.STOPPING:
        if instance.unattended:
            jobs.steps.append(Stop(instance, GRACE_SECONDS, "told to stop before"))
    elif not instance.attended:
        jobs.steps.append(Stop(instance, GRACE_SECONDS, "nobody attends it"))


def _tend(desired: DesiredChannel, state: CronState, runs: list[Instance], now: float, jobs: Jobs) -> CronState:
    """The runs of one process: those that ended, those that must, and those that are not there. Returns the state after that."""
    for run in runs:
        if run.state is InstanceState.CRASHED:
            state = _ended(run, state, now, jobs)
        elif run.state is InstanceState.STOPPING:
            if run.unattended:
                jobs.steps.append(Stop(run, GRACE_SECONDS, "told to stop before"))
        elif desired.power is Power.OFF or now - run.started_at >= LONGEST_RUN_SECONDS:
            jobs.steps.append(Stop(run, GRACE_SECONDS, "its time is up"))
        else:
            jobs.wake_at(run.started_at + LONGEST_RUN_SECONDS)
    there = frozenset(r.id for r in runs)
    for noted in state.runs:
        if noted.id not in there:
            jobs.wake_at(noted.started_at + LOST_SECONDS)
    for gone in lost(state, there, now):
        state = state.ended(gone.id, gone.started_at, "was lost when the platform or the machine went down")
        text = f"{state.process}, due at {_when(gone.due, state.schedule)}, was lost when the platform or the machine went down."
        jobs.steps.append(NoteCron(state, ((EventKind.CRON_FAILED, text),)))
    return state


def _ended(run: Instance, state: CronState, now: float, jobs: Jobs) -> CronState:
    """Told once: a run that is not in the state any more was told before."""
    after = state.ended(run.id, now, _result(run, now))
    if after != state:
        seconds = max(now - run.started_at, 0.0)
        left_out = f" Meanwhile {state.skipped} more were due and left out." if state.skipped else ""
        text = f"{run.process} {_result(run, now)} after {_span(seconds)}.{left_out}"
        failed = run.exit_code != 0 and (not run.told_to_stop or seconds >= LONGEST_RUN_SECONDS)
        jobs.steps.append(EndRun(run, after, EventKind.CRON_FAILED if failed else EventKind.CRON_FINISHED, text))
    jobs.steps.append(Remove(run))
    return after


def _result(run: Instance, now: float) -> str:
    if run.exit_code == 0:
        return "ended well"
    if not run.told_to_stop:
        return run.reason or "ended"
    return "ran as long as a run may, and was stopped" if now - run.started_at >= LONGEST_RUN_SECONDS else "was stopped with the site"


@dataclass(frozen=True, slots=True)
class _Clockwork:
    """What to run, and how its files are mounted."""

    wanted: Wanted
    mode: Mode


def _due(what: _Clockwork, state: CronState, runs: list[Instance], now: float, jobs: Jobs) -> None:
    """Start what is due; tell what was missed or is left out."""
    schedule = what.wanted.spec.schedule
    assert schedule is not None, "only processes with a schedule are due"
    found = look(state, schedule, now)
    if found.state.next_at:
        jobs.wake_at(found.state.next_at)
    if found.missed:
        handled = replace(found.state, handled=found.missed[-1])
        jobs.steps.append(NoteCron(handled, ((EventKind.CRON_MISSED, _missed(found, schedule)),)))
    if not found.due:
        if found.state != state and not found.missed:
            jobs.steps.append(NoteCron(found.state))
        return
    before = any(_goes_on(run) for run in runs)
    if jobs.running >= MOST_AT_ONCE or (before and not schedule.overlap):
        why = f"{jobs.running} runs of this site go on" if jobs.running >= MOST_AT_ONCE else "the run before still goes on"
        jobs.steps.append(_left_out(found, schedule, why))
        return
    jobs.running += 1
    taken = {run.index for run in runs}
    index = next(number for number in range(1, len(taken) + 2) if number not in taken)
    jobs.steps.append(StartRun(what.wanted, index, found, what.mode))


def _goes_on(run: Instance) -> bool:
    return run.state in LIVE_STATES or run.state is InstanceState.STOPPING


def _left_out(found: Look, schedule: Schedule, why: str) -> NoteCron:
    """The first is told at once, the others together when the run that goes on has ended."""
    state = replace(found.state, skipped=found.state.skipped + 1)
    text = f"{state.process}, due at {_when(found.due, schedule)}, was left out: {why}."
    return NoteCron(state, ((EventKind.CRON_SKIPPED, text),) if state.skipped == 1 else ())


def _missed(found: Look, schedule: Schedule) -> str:
    why = "the platform was not running then, or the machine's clock was changed"
    first, count = _when(found.missed[0], schedule), len(found.missed)
    if count == 1:
        return f"{found.state.process}, due at {first}, was missed: {why}."
    return f"{found.state.process} missed {count} runs, the first due at {first}: {why}."


def _when(at: float, schedule: Schedule | None) -> str:
    """As the owner's clock shows it."""
    zone = schedule.timezone if schedule else "UTC"
    return f"{datetime.fromtimestamp(at, ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
