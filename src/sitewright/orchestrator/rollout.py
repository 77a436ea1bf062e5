"""How one process type moves from what runs to what is wanted. Pure: values in, steps out.

New copies start beside the old ones (so many more than wanted at a time as the owner allows), old ones leave only as new ones are ready,
and what leaves gets no new requests before it is stopped.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from sitewright.domain.backoff import FREE_RESTARTS, crashes_in_a_row, restart_delay
from sitewright.domain.desired import DesiredChannel, Strategy
from sitewright.domain.processes import Listen, ProcessScale
from sitewright.domain.states import InstanceState
from sitewright.orchestrator.model import LIVE_STATES, OUT_SECONDS, SERVING_STATES, Actual, Crash, Instance, Wanted
from sitewright.orchestrator.steps import Evacuate, MarkReady, NoteCrash, Probe, Remove, Start, Step, Stop

SETTLE_SECONDS = 1.0
"""How long a process that listens to nobody must live to count as ready."""
SHORTEST_DRAIN_SECONDS = 0.3
"""A request that had already chosen its slot has connected by then."""
LONGEST_DRAIN_AT_STOP_SECONDS = 5.0
"""The owner who presses stop is not kept waiting for idle web sockets."""
DRAIN_LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Manner:
    """How new copies take the place of old ones. ``surge``: how many more than wanted may be there at a time, counted until they have
    exited; with 0 an old one stops before a new one starts. Blue/green knows no such bound: all new ones start beside all old ones."""

    strategy: Strategy = Strategy.ROLLING
    surge: int = 1
    taken: frozenset[int] = frozenset()
    """Numbers that copies outside this rollout have."""

    @staticmethod
    def of(desired: DesiredChannel, taken: frozenset[int] = frozenset()) -> Manner:
        """As the owner wants it."""
        return Manner(desired.strategy, max(desired.max_surge, 0), taken)

    @property
    def makes_room_first(self) -> bool:
        """Whether an old one stops before a new one starts."""
        return self.strategy is Strategy.ROLLING and self.surge == 0


@dataclass
class Rollout:
    """The outcome for one process type. ``serving``: what the router may send requests to after these steps."""

    steps: list[Step] = field(default_factory=list)
    serving: list[Instance] = field(default_factory=list)
    ready_now: int = 0
    """Serving copies of the wanted digest."""
    settled: bool = False
    problem: str = ""
    next_at: float | None = None

    def wake_at(self, at: float) -> None:
        """Plan again no later than *at*."""
        self.next_at = at if self.next_at is None else min(self.next_at, at)


def probe_delay(age: float) -> float:
    """Seconds between looks at a starting instance of that age."""
    if age < 3:
        return 0.05
    return 0.25 if age < 15 else 1.0


def note_crash(instance: Instance, previous: Crash | None, now: float, reason: str, *, late: bool = False) -> Crash:
    """The crash record after *instance* failed. One that never got ready in time counts as all the free restarts at once."""
    ready_for = now - instance.ready_since if instance.ready_since is not None else 0.0
    count = crashes_in_a_row(previous.count if previous else 0, ready_for)
    if late:
        count = max(count, FREE_RESTARTS + 1)
    # Another copy's good minutes do not shorten what a bad one has to wait; a clock that was set back since does not lengthen it.
    patience = previous.not_before if previous and previous.not_before - now <= restart_delay(previous.count) else 0.0
    return Crash(instance.process, instance.digest, count, max(now + restart_delay(count), patience), reason, late=late)


def roll(process: str, wanted: Wanted | None, actual: Actual, now: float, *, gate: bool, manner: Manner | None = None) -> Rollout:
    """Plan one process type. *gate*: whether new copies may start (files present, release command done)."""
    manner = manner or Manner()
    result = Rollout()
    digest = wanted.digest if wanted else ""
    crash = actual.crash_of(process, digest)
    live: list[Instance] = []
    for instance in actual.instances:
        if instance.process != process:
            continue
        crash, alive = _look_at(instance, crash, wanted, now, result)
        if alive:
            live.append(instance)
    current = [i for i in live if i.digest == digest]
    old = [i for i in live if i.digest != digest]
    current = _scale_down(current, wanted, result)
    held_back = manner.strategy is Strategy.BLUE_GREEN and _waits_for_all(old, current, wanted)
    full = wanted is not None and manner.makes_room_first and _is_full(wanted, current, actual)
    make_room = full and gate and crash is None
    old = _retire(old, current, wanted, result, _Leave(keep_ready=held_back, make_room=make_room))
    if wanted is not None:
        if gate and (crash is None or now >= crash.not_before):
            _start(wanted, current, actual, manner, result)
        elif gate and crash is not None:
            result.wake_at(crash.not_before)
        result.problem = _problem(wanted, crash, current)
    result.serving = [i for i in (old if held_back else (*old, *current)) if i.state in SERVING_STATES]
    result.ready_now = sum(1 for i in result.serving if i in current)
    count = wanted.count if wanted else 0
    result.settled = not old and len(current) == count == result.ready_now
    _look_again(current, now, result)
    return result


def _look_at(instance: Instance, crash: Crash | None, wanted: Wanted | None, now: float, result: Rollout) -> tuple[Crash | None, bool]:
    """Deal with one instance's own troubles; returns the crash record then, and whether it still counts as live."""
    scale = wanted.scale if wanted else ProcessScale(instance.process)
    matters = wanted is not None and instance.digest == wanted.digest
    if instance.state is InstanceState.CRASHED:
        if matters and not instance.told_to_stop:
            crash = note_crash(instance, crash, now, instance.reason)
            result.steps.append(NoteCrash(instance, crash))
        result.steps.append(Remove(instance))
        return crash, False
    if instance.state is InstanceState.EVACUATING:
        _drain(instance, scale, wanted is None, now, result)
        return crash, False
    if instance.state not in LIVE_STATES:
        if instance.unattended:
            result.steps.append(Stop(instance, scale.stop_grace_seconds, "told to stop before"))
        return crash, False
    reason = _failing(instance, now)
    if not reason:
        return crash, True
    if matters:
        crash = note_crash(instance, crash, now, reason, late=instance.state is InstanceState.STARTING)
        result.steps.append(NoteCrash(instance, crash))
    result.steps.append(Stop(instance, scale.stop_grace_seconds, reason))
    return crash, False


def _failing(instance: Instance, now: float) -> str:
    health = instance.health
    if instance.state is InstanceState.STARTING and now - instance.since > health.startup_seconds:
        return f"did not answer within {health.startup_seconds:.0f} s of its start"
    if instance.state is InstanceState.READY and instance.failures >= health.failures:
        return f"did not answer {instance.failures} health checks in a row"
    return ""


def _drain(instance: Instance, scale: ProcessScale, at_stop: bool, now: float, result: Rollout) -> None:
    longest = min(scale.drain_seconds, LONGEST_DRAIN_AT_STOP_SECONDS) if at_stop else scale.drain_seconds
    age = now - instance.since
    quiet = instance.connections == 0 and age >= SHORTEST_DRAIN_SECONDS
    if instance.listen is Listen.NONE or quiet or age >= longest:
        result.steps.append(Stop(instance, scale.stop_grace_seconds, "drained"))
    else:
        result.wake_at(min(now + DRAIN_LOOK_SECONDS, instance.since + longest))


def _leave(instance: Instance, wanted: Wanted | None) -> Step:
    """How an unwanted instance goes: at once when nobody was sent to it, else after draining."""
    if instance.state is InstanceState.READY and instance.listen is not Listen.NONE:
        return Evacuate(instance)
    grace = wanted.scale.stop_grace_seconds if wanted else ProcessScale(instance.process).stop_grace_seconds
    return Stop(instance, grace, "no longer wanted")


def _scale_down(current: list[Instance], wanted: Wanted | None, result: Rollout) -> list[Instance]:
    """Too many of the right kind: those still starting go first, then the youngest."""
    surplus = len(current) - (wanted.count if wanted else 0)
    if surplus <= 0:
        return current
    order = sorted(current, key=lambda i: (i.state in SERVING_STATES, -i.started_at, i.id))
    result.steps.extend(_leave(i, wanted) for i in order[:surplus])
    return [i for i in current if i not in order[:surplus]]


def _waits_for_all(old: Sequence[Instance], current: Sequence[Instance], wanted: Wanted | None) -> bool:
    """Whether old copies serve alone because not all new ones are ready."""
    ready = sum(1 for i in current if i.state in SERVING_STATES)
    return wanted is not None and ready < wanted.count and any(i.state in SERVING_STATES for i in old)


def _there(process: str, actual: Actual) -> list[Instance]:
    """The copies that take memory."""
    ended = (InstanceState.CRASHED, InstanceState.GONE)
    return [i for i in actual.instances if i.process == process and i.state not in ended]


def _is_full(wanted: Wanted, current: Sequence[Instance], actual: Actual) -> bool:
    """Whether all the room is taken and no copy is on its way in or out: then the next old one may be stopped to make room."""
    there = _there(wanted.spec.type, actual)
    leaving = any(i.state in (InstanceState.EVACUATING, InstanceState.STOPPING) for i in there)
    return len(there) >= wanted.count and not leaving and all(i.state in SERVING_STATES for i in current)


@dataclass(frozen=True, slots=True)
class _Leave:
    """Which ready old copies leave: none, or one although it is still needed; else those that are not needed any more."""

    keep_ready: bool
    make_room: bool


def _retire(old: list[Instance], current: Sequence[Instance], wanted: Wanted | None, result: Rollout, leave: _Leave) -> list[Instance]:
    """Old copies leave: unready ones now, ready ones only as far as enough others are ready."""
    count = wanted.count if wanted else 0
    unready = [i for i in old if i.state not in SERVING_STATES]
    ready = sorted((i for i in old if i.state in SERVING_STATES), key=lambda i: (i.started_at, i.id))
    surplus = len(ready) + sum(1 for i in current if i.state in SERVING_STATES) - count
    if leave.make_room and len(current) < count:
        surplus = max(surplus, 1)
    leaving = [] if leave.keep_ready else ready[: max(surplus, 0)]
    result.steps.extend(_leave(i, wanted) for i in (*unready, *leaving))
    return ready[len(leaving) :]


def _start(wanted: Wanted, current: Sequence[Instance], actual: Actual, manner: Manner, result: Rollout) -> None:
    """What is missing, as far as there is room: memory is free when a process has exited, not when it was told to."""
    need = wanted.count - len(current)
    if manner.strategy is Strategy.ROLLING:
        there = len(_there(wanted.spec.type, actual))
        need = min(need, wanted.count + manner.surge - there)
    taken = manner.taken | {i.index for i in actual.instances if i.process == wanted.spec.type}
    result.steps.extend(Start(wanted, index) for index in _free_indexes(taken, need))


def _free_indexes(taken: frozenset[int], count: int) -> list[int]:
    free: list[int] = []
    number = 1
    while len(free) < count:
        if number not in taken:
            free.append(number)
        number += 1
    return free


def _problem(wanted: Wanted, crash: Crash | None, current: Sequence[Instance]) -> str:
    """In words for the owner; "" while there is reason to hope."""
    if crash is None or crash.count < FREE_RESTARTS or sum(1 for i in current if i.state in SERVING_STATES) >= wanted.count:
        return ""
    if crash.late:
        said = f"The process “{wanted.spec.type}” {crash.reason}."
    else:
        said = f"The process “{wanted.spec.type}” crashed {crash.count} times in a row; the last time it {crash.reason}."
    wait = restart_delay(crash.count)
    return f"{said} The next start waits {wait:.0f} s." if wait else said


def _look_again(current: Sequence[Instance], now: float, result: Rollout) -> None:
    """Probe who is due, and say when the next one is."""
    for instance in current:
        if instance.state is InstanceState.STARTING:
            _await_ready(instance, now, result)
        elif instance.state is InstanceState.READY and instance.listen is not Listen.NONE and not instance.probing:
            due = max(instance.probed_at, instance.since + _jitter(instance)) + instance.health.interval_seconds
            if instance.out_until - OUT_SECONDS > instance.probed_at:
                due = now  # it refused somebody: look at it at once
            elif instance.trusted:
                due = instance.probed_at + probe_delay(now - instance.since)  # it may have opened a port of its own: visitors wait
            elif instance.failures:
                due = instance.probed_at + min(instance.health.interval_seconds, 5.0)
            if now >= due:
                result.steps.append(Probe(instance))
            else:
                result.wake_at(due)


def _jitter(instance: Instance) -> float:
    """Spreads the checks of many instances that became ready together. Up to 5 s."""
    return zlib.crc32(instance.id.encode()) % 5000 / 1000


def _await_ready(instance: Instance, now: float, result: Rollout) -> None:
    result.wake_at(instance.since + instance.health.startup_seconds + 0.01)
    age = now - instance.since
    if instance.listen is Listen.NONE:
        if age >= SETTLE_SECONDS:
            result.steps.append(MarkReady(instance))
        else:
            result.wake_at(instance.since + SETTLE_SECONDS)
        return
    if instance.probing:
        return
    due = instance.probed_at + probe_delay(age)
    if now >= due:
        result.steps.append(Probe(instance))
    else:
        result.wake_at(due)
