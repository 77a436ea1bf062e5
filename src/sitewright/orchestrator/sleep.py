"""When a channel dozes off, freezes, stops and wakes: pure, with every time as an argument.

docs/explanation/sleep.md has the same rules as a table, and what a kill at any point leaves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sitewright.domain.desired import DesiredChannel
from sitewright.domain.processes import Listen
from sitewright.domain.sleep import SleepPolicy, SleepStage
from sitewright.domain.states import InstanceState, Power
from sitewright.orchestrator.model import LIVE_STATES, WEB, Actual, Instance, Rest, Sleep, Wanted
from sitewright.orchestrator.steps import Freeze, NoteDeath, NoteSleep, Remove, Step, Stop, Thaw, Trust

QUIET_SECONDS = 0.3
"""A request that had chosen its slot before the route was withdrawn has connected by then."""
LONGEST_DOZE_SECONDS = 5.0
"""Who is still connected then is no straggler but a visitor: the channel is awake again."""
DOZE_LOOK_SECONDS = 0.1
TRUSTED_START_SECONDS = 2.5
"""Who answered so soon after its last start gets requests at once; they wait in its socket."""

RUNNING_STATES = frozenset({InstanceState.STARTING, InstanceState.READY})


@dataclass(frozen=True, slots=True)
class Bed:
    """What to do for a channel that sleeps, and in how many seconds to look again."""

    steps: tuple[Step, ...] = ()
    look_in: float | None = None


def shape_of(wanted: Iterable[Wanted]) -> str:
    """The fingerprint of what would run: another one is a reason to wake, a change of the sleep policy is not."""
    parts = sorted(f"{w.spec.type} {w.digest} {w.count}" for w in wanted)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def adopted(sleep: Sleep, wanted: Iterable[Wanted]) -> Sleep:
    """A channel's sleep when the node starts and nothing else is wanted of it than when it fell asleep: another version of this program may
    see another shape, which is no reason to wake ten thousand sites."""
    return replace(sleep, shape=shape_of(sleepers(wanted))) if sleep.stage is SleepStage.STOPPED else sleep


def sleepers(wanted: Iterable[Wanted]) -> tuple[Wanted, ...]:
    """The process types that sleep: all but those that a schedule starts."""
    return tuple(w for w in wanted if w.spec.schedule is None)


def may_sleep(desired: DesiredChannel, sleeping: Iterable[Wanted]) -> bool:
    """Whether this channel ever sleeps: a visitor must be able to wake it, so it needs a web process; a release on trial keeps it awake."""
    if not desired.sleep.sleeps or desired.power is Power.OFF or desired.removed or desired.canary is not None:
        return False
    return any(w.spec.type == WEB and w.spec.listen is not Listen.NONE for w in sleeping)


def freezes_after(policy: SleepPolicy, *, can_freeze: bool) -> float:
    """Idle seconds until it freezes; 0 when it stops without having been frozen, or never sleeps."""
    freeze, stop = policy.freeze_after_seconds, policy.stop_after_seconds
    return freeze if can_freeze and freeze > 0 and (stop <= 0 or freeze < stop) else 0.0


def dozes_after(policy: SleepPolicy, *, can_freeze: bool) -> float:
    """Idle seconds until it dozes off; 0 is never."""
    return freezes_after(policy, can_freeze=can_freeze) or max(policy.stop_after_seconds, 0.0)


def next_stage(desired: DesiredChannel, actual: Actual, sleeping: tuple[Wanted, ...]) -> SleepStage:
    """The stage that an asleep channel is to be in now; AWAKE for one that is awake (see ``doze_wait`` for its way into sleep)."""
    rest = actual.rest
    stage = rest.sleep.stage
    if stage is SleepStage.AWAKE or rest.wanted or not may_sleep(desired, sleeping) or shape_of(sleeping) != rest.sleep.shape:
        return SleepStage.AWAKE
    own = _of(sleeping, actual)
    running = [i for i in own if i.state in RUNNING_STATES]
    if stage is SleepStage.DOZING:
        return _after_dozing(desired, actual, own)
    if running:
        return SleepStage.AWAKE  # thawed or started by somebody who was cut off before it was written down
    living = any(i.state in LIVE_STATES for i in own)
    if stage is SleepStage.FROZEN and living and not _time_to_stop(desired, rest):
        return SleepStage.FROZEN
    return SleepStage.STOPPED


def _after_dozing(desired: DesiredChannel, actual: Actual, own: tuple[Instance, ...]) -> SleepStage:
    rest = actual.rest
    visited = rest.idle < rest.lasted
    failed = any(i.state is InstanceState.CRASHED for i in own)
    quiet = _quiet(own)
    if visited or failed or (not quiet and rest.lasted >= LONGEST_DOZE_SECONDS):
        return SleepStage.AWAKE
    if not quiet or rest.lasted < QUIET_SECONDS:
        return SleepStage.DOZING
    if freezes_after(desired.sleep, can_freeze=rest.can_freeze):
        return SleepStage.FROZEN
    return SleepStage.STOPPED if _time_to_stop(desired, rest) else SleepStage.AWAKE


def _time_to_stop(desired: DesiredChannel, rest: Rest) -> bool:
    return 0 < desired.sleep.stop_after_seconds <= rest.idle


def doze_wait(desired: DesiredChannel, actual: Actual, sleeping: tuple[Wanted, ...]) -> float | None:
    """Seconds until an awake channel that is in full order dozes off: 0 is now, None is never (as things are)."""
    rest = actual.rest
    after = dozes_after(desired.sleep, can_freeze=rest.can_freeze)
    if after <= 0 or rest.wanted or not may_sleep(desired, sleeping):
        return None
    if rest.idle < after:
        return after - rest.idle
    own = _of(sleeping, actual)
    if any(i.state is not InstanceState.READY for i in own):
        return None
    return 0.0


def visited_now(actual: Actual, sleeping: tuple[Wanted, ...]) -> bool:
    """Whether somebody is connected, though nothing was asked for long: a web socket or a long download is a visit too."""
    return not _quiet(_of(sleeping, actual))


def counts_connections(desired: DesiredChannel, actual: Actual) -> bool:
    """Whether the next plan needs to know who is connected to the channel's instances."""
    rest = actual.rest
    if rest.sleep.stage is SleepStage.DOZING:
        return True
    return rest.sleep.stage is SleepStage.AWAKE and 0 < dozes_after(desired.sleep, can_freeze=rest.can_freeze) <= rest.idle


def fall_asleep(sleeping: tuple[Wanted, ...]) -> Bed:
    """An awake channel dozes off: that is written down, and its route is withdrawn after this."""
    return Bed((NoteSleep(SleepStage.DOZING, shape_of(sleeping)),), QUIET_SECONDS)


def lie_down(desired: DesiredChannel, actual: Actual, sleeping: tuple[Wanted, ...], stage: SleepStage) -> Bed:
    """The steps that keep or bring a channel into *stage*, which is not AWAKE. Its route is the plan's business."""
    rest = actual.rest
    changed = stage is not rest.sleep.stage
    note: list[Step] = [NoteSleep(stage, rest.sleep.shape)] if changed else []
    own = _of(sleeping, actual)
    grace = {w.spec.type: w.scale.stop_grace_seconds for w in sleeping}
    if stage is SleepStage.DOZING:
        return Bed(look_in=max(QUIET_SECONDS - rest.lasted, DOZE_LOOK_SECONDS))
    steps: list[Step] = []
    for instance in own:
        if instance.state is InstanceState.CRASHED:
            if not instance.told_to_stop:
                steps.append(NoteDeath(instance))
            steps.append(Remove(instance))
        elif instance.unattended or (stage is SleepStage.STOPPED and instance.state is not InstanceState.STOPPING):
            steps.append(Stop(instance, grace[instance.process], "asleep"))
        elif stage is SleepStage.FROZEN and instance.state in RUNNING_STATES:
            steps.append(Freeze(instance))
    if stage is SleepStage.STOPPED:
        return Bed((*note, *steps))
    left = desired.sleep.stop_after_seconds - rest.idle if desired.sleep.stop_after_seconds > 0 else None
    return Bed((*steps, *note), left)


def get_up(actual: Actual, sleeping: tuple[Wanted, ...]) -> tuple[Step, ...]:
    """The first steps of a channel that is to be awake: it is written down, then what stands still goes on."""
    steps: list[Step] = []
    if actual.rest.sleep.stage is not SleepStage.AWAKE:
        steps.append(NoteSleep(SleepStage.AWAKE))
    steps.extend(Thaw(i) for i in _of(sleeping, actual) if i.state is InstanceState.FROZEN)
    return tuple(steps)


def trusted(actual: Actual, web: Wanted | None) -> tuple[Step, ...]:
    """Who gets requests before it has answered, when nobody else is there: its socket waits for it, and its last start was quick."""
    if web is None or actual.crash_of(WEB, web.digest) is not None:
        return ()
    seconds = actual.start_seconds.get(web.digest)
    if seconds is None or seconds > TRUSTED_START_SECONDS:
        return ()
    return tuple(
        Trust(i)
        for i in actual.instances
        if i.process == WEB and i.digest == web.digest and i.state is InstanceState.STARTING and i.waits and not i.told_to_stop
    )


def _of(sleeping: Iterable[Wanted], actual: Actual) -> tuple[Instance, ...]:
    types = {w.spec.type for w in sleeping}
    return tuple(i for i in actual.instances if i.process in types)


def _quiet(own: Iterable[Instance]) -> bool:
    """Whether nobody is connected; not knowing counts as somebody."""
    return all(i.listen is Listen.NONE or i.connections == 0 for i in own)
