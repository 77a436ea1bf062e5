"""What a node says of one channel: the planner's view of its instances, and how it sleeps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sitewright.domain.desired import ActualCanary, ActualChannel, ActualCron, ActualInstance, CanaryState, DesiredChannel
from sitewright.domain.sleep import SleepStage
from sitewright.engines.base import Engine, Stats
from sitewright.orchestrator.jobs import schedules
from sitewright.orchestrator.memory import ChannelMemory, Resting
from sitewright.orchestrator.model import Instance, Sleep


def of_resting(channel_id: str, generation: int, resting: Resting) -> ActualChannel:
    """A channel of which nothing runs and nothing is under way."""
    return _with_sleep(ActualChannel(channel_id, generation, resting.applied), resting.sleep, resting.sleep.last_request_at)


async def of_channel(
    desired: DesiredChannel, memory: ChannelMemory, instances: Iterable[Instance], node: str, engine: Engine | None
) -> ActualChannel:
    """A channel with its instances; *engine* None leaves out what they use."""
    shown = []
    for item in instances:
        stats = await engine.stats(item.id) if engine is not None else Stats()
        crash = memory.crash_of(item.process, item.digest)
        shown.append(
            ActualInstance(
                id=item.id,
                channel_id=desired.channel_id,
                process=item.process,
                release_id=item.release_id,
                state=item.state.value,
                since=item.since,
                node=node,
                memory_bytes=stats.memory_bytes,
                cpu_seconds=stats.cpu_seconds,
                restarts=crash.count if crash else 0,
                reason=item.reason,
            )
        )
    known = replace(
        ActualChannel(desired.channel_id, desired.generation, memory.applied, memory.problem, tuple(shown)),
        canary=_canary(desired, memory),
        crons=_crons(desired, memory),
    )
    return _with_sleep(known, memory.sleep, max(memory.last_request_at, memory.sleep.last_request_at))


def _canary(desired: DesiredChannel, memory: ChannelMemory) -> ActualCanary | None:
    """The release on trial; None when nobody wants one, or it is not known yet."""
    trial = memory.trial
    if desired.canary is None or trial is None or trial.release_id != desired.canary.release.id:
        return None
    state = CanaryState.SERVING if trial.serving_since else CanaryState.STARTING
    return ActualCanary(
        trial.release_id,
        CanaryState.ABORTED if trial.aborted else state,
        slots=desired.canary.slots,
        requests=trial.new.requests,
        errors=trial.new.errors,
        latency=trial.new.about(0.5),
        old_requests=trial.old.requests,
        old_errors=trial.old.errors,
        old_latency=trial.old.about(0.5),
        reason=trial.aborted,
    )


def _crons(desired: DesiredChannel, memory: ChannelMemory) -> tuple[ActualCron, ...]:
    """The cron processes of what is served, and those of before that still run."""
    named = schedules(desired, memory.serving)
    shown = []
    for process, state in sorted(memory.crons.items()):
        if process in named or state.runs:
            figures = (state.next_at, state.last_at, state.last_seconds, state.last_result, len(state.runs))
            shown.append(ActualCron(process, *figures))
    return tuple(shown)


def _with_sleep(known: ActualChannel, sleep: Sleep, last_request_at: float) -> ActualChannel:
    return replace(
        known,
        sleep=sleep.stage.value,
        sleep_since=sleep.since,
        saved_bytes=sleep.saved_bytes if sleep.stage is SleepStage.STOPPED else 0,
        last_request_at=last_request_at,
    )
