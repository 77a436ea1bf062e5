"""What a node says of one channel: the planner's view of its instances, and how it sleeps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sitewright.domain.desired import ActualChannel, ActualInstance, DesiredChannel
from sitewright.domain.sleep import SleepStage
from sitewright.engines.base import Engine, Stats
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
    known = ActualChannel(desired.channel_id, desired.generation, memory.applied, memory.problem, tuple(shown))
    return _with_sleep(known, memory.sleep, max(memory.last_request_at, memory.sleep.last_request_at))


def _with_sleep(known: ActualChannel, sleep: Sleep, last_request_at: float) -> ActualChannel:
    return replace(
        known,
        sleep=sleep.stage.value,
        sleep_since=sleep.since,
        saved_bytes=sleep.saved_bytes if sleep.stage is SleepStage.STOPPED else 0,
        last_request_at=last_request_at,
    )
