"""From what is wanted and what is there to what to do: a pure function. No clock, no randomness, no I/O.

Order within a plan matters: routes change before anything that was routed to is told to leave.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sitewright.domain.desired import DesiredChannel
from sitewright.domain.processes import Listen, ProcessScale, ProcessSpec
from sitewright.domain.release import Release
from sitewright.domain.route import ChannelRoute, Presence
from sitewright.domain.sleep import SleepStage
from sitewright.domain.states import InstanceState, Mode, Power
from sitewright.orchestrator import sleep
from sitewright.orchestrator.model import (
    RELEASE_COMMAND,
    WEB,
    Actual,
    Hook,
    HookState,
    Instance,
    Serving,
    Wanted,
    wanted_processes,
)
from sitewright.orchestrator.rollout import Rollout, roll
from sitewright.orchestrator.steps import (
    DeleteFiles,
    EnsureTree,
    Evacuate,
    NoteApplied,
    NoteServing,
    Plan,
    Remove,
    RemoveRoute,
    RunHook,
    SetRoute,
    Step,
    Stop,
)

TreeOf = Callable[[Serving], Path]
"""Where on the host a release's files are."""


def plan(desired: DesiredChannel, actual: Actual, now: float, tree_of: TreeOf) -> Plan:
    """What to do now for one channel."""
    if desired.removed:
        return _plan_removal(desired, actual)
    wanted = {w.spec.type: w for w in wanted_processes(desired)}
    sleeping = sleep.sleepers(wanted.values())
    stage = sleep.next_stage(desired, actual, sleeping)
    if stage is not SleepStage.AWAKE:
        return _plan_asleep(desired, actual, now, tree_of, _Asleep(stage, sleeping))
    gate = _gate(desired, actual, now)
    types = dict.fromkeys((*wanted, *(i.process for i in actual.instances)))
    rollouts = {name: roll(name, wanted.get(name), actual, now, gate=gate.open) for name in types}
    web = rollouts.get(WEB, Rollout())
    serving = _serving(desired, actual, web, wanted.get(WEB), gate=gate.open)
    settled = _settled(desired, actual, rollouts, gate=gate.open)
    doze = sleep.doze_wait(desired, actual, sleeping) if settled and actual.applied == desired.generation else None
    if doze == 0:
        return _plan_asleep(desired, actual, now, tree_of, _Asleep(SleepStage.DOZING, sleeping))
    route = _route(desired, actual, web, serving, tree_of)

    steps: list[Step] = [*sleep.get_up(actual, sleeping), *gate.before]
    later: list[Step] = []
    for rollout in rollouts.values():
        for step in rollout.steps:
            (later if isinstance(step, Evacuate | Stop | Remove) else steps).append(step)
    if serving is not None and serving != actual.serving:
        steps.append(NoteServing(serving))
    if not web.serving:
        steps.extend(sleep.trusted(actual, wanted.get(WEB)))
    if route != actual.route:
        steps.append(SetRoute(route))
    steps.extend(later)
    problem = gate.problem or next((r.problem for r in rollouts.values() if r.problem), "")
    if actual.applied < desired.generation and not problem and settled:
        steps.append(NoteApplied(desired.generation))
    times = [r.next_at for r in rollouts.values() if r.next_at is not None]
    if gate.next_at is not None:
        times.append(gate.next_at)
    if doze is not None:
        times.append(now + doze)
    return Plan(tuple(steps), problem, min(times, default=None))


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
    route = replace(_route(desired, actual, Rollout(), actual.serving, tree_of), presence=Presence.ASLEEP)
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


@dataclass(frozen=True, slots=True)
class _Gate:
    """Whether new copies may start; what has to be done before, why not, and when to look again."""

    open: bool = False
    before: tuple[Step, ...] = ()
    problem: str = ""
    next_at: float | None = None


def _gate(desired: DesiredChannel, actual: Actual, now: float) -> _Gate:
    release, tree = desired.release, actual.tree
    if release is None or desired.power is Power.OFF:
        return _Gate()
    if tree.present:
        spec = release.blueprint.process(RELEASE_COMMAND)
        return _Gate(open=True) if spec is None else _hook_gate(desired, release, spec, actual.hook)
    if tree.preparing:
        return _Gate(problem=tree.problem)
    if now < tree.retry_at:
        return _Gate(problem=tree.problem, next_at=tree.retry_at)
    return _Gate(before=(EnsureTree(),), problem=tree.problem)


def _hook_gate(desired: DesiredChannel, release: Release, spec: ProcessSpec, hook: Hook | None) -> _Gate:
    """The release command runs once a release; one that failed runs again when something about the channel has changed."""
    if hook is not None and hook.release_id == release.id:
        if hook.state is not HookState.FAILED:
            return _Gate(open=hook.state is HookState.DONE)
        if hook.generation == desired.generation:
            return _Gate(problem=f"The release command failed: it {hook.reason}. What ran before stays.")
    run = RunHook(Wanted(spec, _hook_scale(desired), ""), Hook(release.id, desired.generation, HookState.RUNNING))
    return _Gate(before=(run,))


def _hook_scale(desired: DesiredChannel) -> ProcessScale:
    """The release command may use what the channel's web process may, unless the channel says otherwise."""
    named = {scale.type for scale in desired.scale}
    return desired.scale_of(RELEASE_COMMAND if RELEASE_COMMAND in named else WEB)


def _serving(desired: DesiredChannel, actual: Actual, web: Rollout, wanted: Wanted | None, *, gate: bool) -> Serving | None:
    """The release that visitors get after this plan: the wanted one as soon as it can answer, until then the one before."""
    release = desired.release
    if release is None or desired.power is Power.OFF:
        return actual.serving
    can_answer = web.ready_now > 0 if wanted is not None else gate
    return Serving(release, desired.mode) if can_answer else actual.serving


def _route(desired: DesiredChannel, actual: Actual, web: Rollout, serving: Serving | None, tree_of: TreeOf) -> ChannelRoute:
    if desired.power is Power.OFF:
        return ChannelRoute(desired.channel_id, desired.hosts, presence=Presence.STOPPED)
    if serving is None:
        return ChannelRoute(desired.channel_id, desired.hosts, presence=_presence(desired, actual, web))
    blueprint = serving.release.blueprint
    ready = sorted(web.serving, key=lambda i: (i.started_at, i.id))
    static_root = blueprint.static_root
    speaks_fastcgi = any(i.listen is Listen.FASTCGI for i in ready)
    return ChannelRoute(
        desired.channel_id,
        desired.hosts,
        sockets=tuple(i.socket for i in ready),
        public=None if static_root is None else tree_of(serving) / static_root,
        fallback=blueprint.fallback,
        fastcgi_root=str(Path("/app") / (static_root or "")) if speaks_fastcgi else "",
        presence=Presence.RUNNING if ready or blueprint.is_static else _presence(desired, actual, web),
        changeable=serving.mode is Mode.LIVE and bool(static_root),
    )


def _presence(desired: DesiredChannel, actual: Actual, web: Rollout) -> Presence:
    """What a visitor reads when nobody answers."""
    release: Release | None = desired.release
    if release is not None and desired.scale_of(WEB).count == 0:
        return Presence.STOPPED
    hook_failed = actual.hook is not None and actual.hook.state is HookState.FAILED and actual.hook.generation == desired.generation
    return Presence.CRASHED if web.problem or hook_failed or actual.tree.problem else Presence.STARTING


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
