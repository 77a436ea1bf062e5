"""From what is wanted and what is there to what to do: a pure function. No clock, no randomness, no I/O.

Order within a plan matters: routes change before anything that was routed to is told to leave.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sitewright.domain.desired import DesiredChannel
from sitewright.domain.processes import Listen
from sitewright.domain.release import Release
from sitewright.domain.route import ChannelRoute, Presence
from sitewright.domain.sleep import SleepStage
from sitewright.domain.states import InstanceState, Mode, Power
from sitewright.orchestrator import sleep
from sitewright.orchestrator.gate import gate_of
from sitewright.orchestrator.jobs import plan_jobs
from sitewright.orchestrator.model import (
    LIVE_STATES,
    OUT_SECONDS,
    WEB,
    Actual,
    HookState,
    Instance,
    Serving,
    Wanted,
    is_job,
    wanted_processes,
)
from sitewright.orchestrator.rollout import Manner, Rollout, roll
from sitewright.orchestrator.slots import Hands, deal
from sitewright.orchestrator.steps import (
    DeleteFiles,
    Evacuate,
    NoteApplied,
    NoteServing,
    NoteSlots,
    NoteVisit,
    Plan,
    Remove,
    RemoveRoute,
    SetRoute,
    Start,
    Step,
    Stop,
)
from sitewright.orchestrator.trial import TrialPlan, plan_trial

TreeOf = Callable[[Serving], Path]
"""Where on the host a release's files are."""


def plan(desired: DesiredChannel, actual: Actual, now: float, tree_of: TreeOf) -> Plan:
    """What to do now for one channel."""
    if desired.removed:
        return _plan_removal(desired, actual)
    jobs = plan_jobs(desired, actual, now)
    services = replace(actual, instances=tuple(i for i in actual.instances if not is_job(i.process)))
    outcome = _plan_services(desired, services, now, tree_of)
    times = [at for at in (outcome.next_at, jobs.next_at) if at is not None]
    return Plan((*outcome.steps, *jobs.steps), outcome.problem, min(times, default=None))


def _plan_services(desired: DesiredChannel, actual: Actual, now: float, tree_of: TreeOf) -> Plan:
    """What goes on until it is told to stop: the web processes and the workers."""
    wanted = {w.spec.type: w for w in wanted_processes(desired)}
    sleeping = sleep.sleepers(wanted.values())
    stage = sleep.next_stage(desired, actual, sleeping)
    if stage is not SleepStage.AWAKE:
        return _plan_asleep(desired, actual, now, tree_of, _Asleep(stage, sleeping))
    trial = plan_trial(desired, actual, now)
    actual = trial.others(actual)
    gate = gate_of(desired, desired.release, actual.tree, actual.hook_of(desired.release.id) if desired.release else None, now)
    manner = Manner.of(desired, trial.indexes)
    types = dict.fromkeys((*wanted, *(i.process for i in actual.instances)))
    rollouts = {name: roll(name, wanted.get(name), actual, now, gate=gate.open, manner=manner) for name in types}
    web = rollouts.get(WEB, Rollout())
    serving = _serving(desired, actual, web, wanted.get(WEB), gate=gate.open)
    settled = _settled(desired, actual, rollouts, gate=gate.open) and trial.settled
    doze = sleep.doze_wait(desired, actual, sleeping) if settled and actual.applied == desired.generation else None
    busy = doze == 0 and sleep.visited_now(actual, sleeping)
    if doze == 0 and not busy:
        return _plan_asleep(desired, actual, now, tree_of, _Asleep(SleepStage.DOZING, sleeping))
    table = _deal(desired, actual, web, trial, now)
    route = _route(desired, actual, web, serving, tree_of, table)

    steps: list[Step] = [*sleep.get_up(actual, sleeping), *gate.before]
    later: list[Step] = []
    for step in (*(step for rollout in rollouts.values() for step in rollout.steps), *trial.steps):
        (later if isinstance(step, Evacuate | Stop | Remove) else steps).append(step)
    if serving is not None and serving != actual.serving:
        steps.append(NoteServing(serving))
    trust = () if web.serving else sleep.trusted(actual, wanted.get(WEB))
    steps = [*_first_things_first(steps, actual, somebody_soon=bool(web.serving or trust)), *trust]
    if table.holders != actual.slots:
        steps.append(NoteSlots(table.holders))
    if route != actual.route:
        steps.append(SetRoute(route))
    steps.extend(later)
    problem = gate.problem or next((r.problem for r in rollouts.values() if r.problem), "")
    if actual.applied < desired.generation and not problem and settled:
        steps.append(NoteApplied(desired.generation))
    times = [r.next_at for r in rollouts.values() if r.next_at is not None]
    times.extend(at for at in (gate.next_at, trial.next_at, table.next_at) if at is not None)
    if busy:
        steps.append(NoteVisit())
    elif doze is not None:
        times.append(now + doze)
    return Plan(tuple(steps), problem, min(times, default=None))


def _first_things_first(steps: list[Step], actual: Actual, *, somebody_soon: bool) -> list[Step]:
    """While a visitor waits for a sleeping channel, one web process is all that is started: the next plan starts the others."""
    if not actual.rest.wanted:
        return steps
    starting = any(i.process == WEB and i.state in LIVE_STATES for i in actual.instances)
    if starting and not somebody_soon:
        return steps
    first = next((s for s in steps if isinstance(s, Start) and s.wanted.spec.type == WEB), None) if not starting else None
    if first is None and not somebody_soon:
        return steps
    return [s for s in steps if not isinstance(s, Start) or s is first]


@dataclass(frozen=True, slots=True)
class _Asleep:
    """The stage to be in, and the process types that sleep."""

    stage: SleepStage
    sleeping: tuple[Wanted, ...]


def _plan_asleep(desired: DesiredChannel, actual: Actual, now: float, tree_of: TreeOf, asleep: _Asleep) -> Plan:
    """The channel lies down, or stays in bed; whoever does not sleep with it goes on."""
    wanted = {w.spec.type: w for w in wanted_processes(desired)}
    resting = {w.spec.type for w in asleep.sleeping}
    types = dict.fromkeys(i.process for i in actual.instances if i.process not in resting)
    rollouts = [roll(name, wanted.get(name), actual, now, gate=False) for name in types]
    bed = (
        sleep.fall_asleep(asleep.sleeping)
        if actual.rest.sleep.stage is SleepStage.AWAKE
        else sleep.lie_down(desired, actual, asleep.sleeping, asleep.stage)
    )
    route = replace(_route(desired, actual, Rollout(), actual.serving, tree_of, _Table()), presence=Presence.ASLEEP)
    steps: list[Step] = [*bed.steps]
    if route != actual.route:
        steps.append(SetRoute(route))
    for rollout in rollouts:
        steps.extend(rollout.steps)
    if actual.applied < desired.generation:
        steps.append(NoteApplied(desired.generation))
    times = [r.next_at for r in rollouts if r.next_at is not None]
    if bed.look_in is not None:
        times.append(now + bed.look_in)
    return Plan(tuple(steps), "", min(times, default=None))


def _serving(desired: DesiredChannel, actual: Actual, web: Rollout, wanted: Wanted | None, *, gate: bool) -> Serving | None:
    """The release that visitors get after this plan: the wanted one as soon as it can answer, until then the one before."""
    release = desired.release
    if release is None or desired.power is Power.OFF:
        return actual.serving
    can_answer = web.ready_now > 0 if wanted is not None else gate
    return Serving(release, desired.mode) if can_answer else actual.serving


@dataclass(frozen=True, slots=True)
class _Table:
    """Who holds the slots, their sockets, and when to deal anew because somebody is let in again."""

    holders: tuple[str, ...] = ()
    sockets: tuple[Path, ...] = ()
    fastcgi: bool = False
    next_at: float | None = None


def _deal(desired: DesiredChannel, actual: Actual, web: Rollout, trial: TrialPlan, now: float) -> _Table:
    """The slots. While nobody serves, the holders of before are remembered: they may come back."""
    ready, tried = (sorted(group, key=lambda i: (i.started_at, i.id)) for group in (web.serving, trial.serving))
    there = {i.id: i for i in (*ready, *tried)}
    if desired.power is Power.OFF or not there:
        return _Table(actual.slots)
    out = {i.id: i.out_until for i in there.values() if now < i.out_until <= now + OUT_SECONDS}
    holders = deal(actual.slots, Hands([i.id for i in ready], [i.id for i in tried], trial.slots, out))
    fastcgi = any(i.listen is Listen.FASTCGI for i in there.values())
    return _Table(holders, tuple(there[h].socket for h in holders), fastcgi, min(out.values(), default=None))


def _route(desired: DesiredChannel, actual: Actual, web: Rollout, serving: Serving | None, tree_of: TreeOf, table: _Table) -> ChannelRoute:
    bare = ChannelRoute(desired.channel_id, desired.hosts, affinity=desired.affinity, visits=desired.visits)
    if desired.power is Power.OFF:
        return replace(bare, presence=Presence.STOPPED)
    if serving is None:
        return replace(bare, presence=_presence(desired, actual, web))
    blueprint = serving.release.blueprint
    static_root = blueprint.static_root
    return replace(
        bare,
        sockets=table.sockets,
        public=None if static_root is None else tree_of(serving) / static_root,
        fallback=blueprint.fallback,
        rules=blueprint.rules,
        fastcgi_root=str(Path("/app") / (static_root or "")) if table.fastcgi else "",
        presence=Presence.RUNNING if table.sockets or blueprint.is_static else _soon(_presence(desired, actual, web)),
        changeable=serving.mode is Mode.LIVE and bool(static_root),
    )


def _presence(desired: DesiredChannel, actual: Actual, web: Rollout) -> Presence:
    """What a visitor reads when nobody answers."""
    release: Release | None = desired.release
    if release is not None and desired.scale_of(WEB).count == 0:
        return Presence.STOPPED
    hook_failed = actual.hook is not None and actual.hook.state is HookState.FAILED and actual.hook.generation == desired.generation
    return Presence.CRASHED if web.problem or hook_failed or actual.tree.problem else Presence.STARTING


def _soon(presence: Presence) -> Presence:
    """A site that has been there before waits with its visitors until it is there again, as one that is woken does."""
    return Presence.ASLEEP if presence is Presence.STARTING else presence


def _settled(desired: DesiredChannel, actual: Actual, rollouts: dict[str, Rollout], *, gate: bool) -> bool:
    """Whether the generation is fully in effect after this plan; draining copies do not keep it back, except at a stop."""
    if desired.power is Power.OFF:
        return all(i.state in (InstanceState.CRASHED, InstanceState.GONE) for i in actual.instances)
    if desired.release is None:
        return not actual.instances
    return gate and all(rollout.settled for rollout in rollouts.values())


def _plan_removal(desired: DesiredChannel, actual: Actual) -> Plan:
    """Everything goes: the route first, then who served it, then the files."""
    if actual.deleted:
        steps: list[Step] = [] if actual.applied >= desired.generation else [NoteApplied(desired.generation)]
        return Plan(tuple(steps))
    steps = [RemoveRoute()] if actual.route is not None or not actual.deleting else []
    running: list[Instance] = []
    for instance in actual.instances:
        if instance.state is InstanceState.CRASHED:
            steps.append(Remove(instance))
        else:
            running.append(instance)
            if instance.state is InstanceState.STOPPING and not instance.unattended:
                continue
            steps.append(Stop(instance, desired.scale_of(instance.process).stop_grace_seconds, "the site is deleted"))
    if not running and not actual.deleting:
        steps.append(DeleteFiles(desired))
    return Plan(tuple(steps))
