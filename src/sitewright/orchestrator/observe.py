"""What is there: the engine's view and the orchestrator's memory, put together as the planner's values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from sitewright.domain.desired import DesiredChannel
from sitewright.domain.processes import HealthCheck, Listen
from sitewright.domain.states import InstanceState
from sitewright.engines.base import EngineState, Exit, Observed
from sitewright.orchestrator.connections import Connections
from sitewright.orchestrator.memory import ChannelMemory, InstanceMemory
from sitewright.orchestrator.model import Actual, Instance, Rest, is_job
from sitewright.orchestrator.sleep import counts_connections

INDEX_VARIABLE = "SITEWRIGHT_INDEX"


def index_of(observed: Observed) -> int:
    """The copy's number within its process type, which travels in its environment."""
    value = next((v for k, v in observed.spec.box.env if k == INDEX_VARIABLE), "1")
    return int(value) if value.isdigit() else 1


def new_memory_kills(own: InstanceMemory, observed: Observed) -> bool:
    """Whether the memory limit has killed more of its processes since the last look; the first look after a restart tells nothing."""
    known, own.memory_kills = own.memory_kills, observed.memory_kills
    return known is not None and observed.memory_kills > known


def memory_kill_text(observed: Observed) -> str:
    """For the owner, when a part of an instance was killed and the rest goes on."""
    spec = observed.spec
    used = Exit(137, out_of_memory=True).in_words(spec.box.limits)
    return f"A process of {spec.process}.{index_of(observed)} was {used}."


def presume(memory: ChannelMemory, observed: Iterable[Observed], now: float) -> None:
    """After a restart without memory: who has run for a while is taken for ready, so that its route stays while nobody has looked."""
    there = tuple(observed)
    memory.nothing_to_come(now, {item.spec.id: item.started_at for item in there})
    if memory.known:
        return
    for item in there:
        if item.state is not EngineState.EXITED and now - item.started_at > 5.0:
            memory.instance(item.spec.id).ready_since = item.started_at
    memory.known = True


@dataclass(frozen=True, slots=True)
class Known:
    """What is asked for beside engine and memory: how the channel sleeps, and who is connected."""

    rest: Rest
    connections: Connections


@dataclass(frozen=True, slots=True)
class Trees:
    """The folders that the wanted release and the one on trial run from; None where there is no such release."""

    wanted: Path | None = None
    trial: Path | None = None


def actual_of(desired: DesiredChannel, memory: ChannelMemory, observed: Iterable[Observed], trees: Trees, known: Known) -> Actual:
    """All that is known of the channel now."""
    tree, trial_tree = trees.wanted, trees.trial
    instances = tuple(_instance(desired, memory, item) for item in observed)
    found = Actual(
        instances=instances,
        crashes=tuple(memory.crashes.values()),
        hook=memory.hook,
        tree=replace(memory.tree, present=tree is not None and tree.is_dir()),
        serving=memory.serving,
        route=memory.route,
        applied=memory.applied,
        deleting=memory.deleting,
        deleted=memory.deleted,
        rest=known.rest,
        start_seconds=memory.start_seconds,
        trial=memory.trial,
        trial_hook=memory.trial_hook,
        trial_tree=replace(memory.trial_tree, present=trial_tree is not None and trial_tree.is_dir()),
        slots=memory.slots,
        crons=tuple(memory.crons.values()),
    )
    of_all = counts_connections(desired, found)
    if of_all or any(i.state is InstanceState.EVACUATING for i in instances):
        counted = (replace(i, connections=known.connections(i)) if of_all or i.state is InstanceState.EVACUATING else i for i in instances)
        return replace(found, instances=tuple(counted))
    return found


def _health(desired: DesiredChannel, memory: ChannelMemory, item: Observed) -> HealthCheck:
    known = (
        desired.release,
        desired.canary.release if desired.canary else None,
        memory.serving.release if memory.serving else None,
    )
    for release in sorted((r for r in known if r is not None), key=lambda r: r.id != item.spec.release_id):
        spec = release.blueprint.process(item.spec.process)
        if spec is not None:
            return spec.health
    return HealthCheck()


def _state(item: Observed, own: InstanceMemory) -> tuple[InstanceState, float]:
    started_at = item.started_at + own.moved
    if item.state is EngineState.EXITED:
        return InstanceState.CRASHED, started_at
    if own.told_to_stop:
        return InstanceState.STOPPING, started_at
    if own.evacuating_since is not None:
        return InstanceState.EVACUATING, own.evacuating_since
    if item.state is EngineState.FROZEN:
        return InstanceState.FROZEN, started_at
    if own.ready_since is None and not is_job(item.spec.process):
        return InstanceState.STARTING, started_at
    return InstanceState.READY, own.ready_since or started_at


def _instance(desired: DesiredChannel, memory: ChannelMemory, item: Observed) -> Instance:
    spec = item.spec
    own = memory.instances.get(spec.id) or InstanceMemory()
    state, since = _state(item, own)
    return Instance(
        id=spec.id,
        process=spec.process,
        index=index_of(item),
        digest=spec.digest,
        release_id=spec.release_id,
        state=state,
        since=since,
        started_at=item.started_at + own.moved,
        listen=spec.listen,
        waits=spec.listen is Listen.FD or item.adopting,
        socket=spec.socket,
        health=_health(desired, memory, item),
        ready_since=own.ready_since,
        probing=own.probing,
        probed_at=own.probed_at,
        failures=own.failures,
        trusted=own.trusted,
        told_to_stop=own.told_to_stop or own.evacuating_since is not None,
        unattended=own.told_to_stop and not own.stopping,
        exit_code=item.exit.code if item.exit else None,
        out_until=own.out_until,
        attended=own.attended,
        reason=item.exit.in_words(spec.box.limits) if item.exit else "",
        out_of_memory=bool(item.exit and item.exit.out_of_memory),
    )
