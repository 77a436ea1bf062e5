"""What apply does for a channel's sleep: freeze, thaw, and write down the stage it is in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Protocol

from sitewright.domain.desired import DesiredChannel
from sitewright.domain.events import EventKind
from sitewright.domain.sleep import SleepStage
from sitewright.engines.base import Engine
from sitewright.errors import EngineError
from sitewright.orchestrator import steps
from sitewright.orchestrator.events import EventSpool
from sitewright.orchestrator.memory import ChannelMemory, MemoryStore
from sitewright.orchestrator.model import Instance, Sleep
from sitewright.system.clock import Clock

log = logging.getLogger(__name__)

FORGOTTEN_SECONDS = 180.0
"""Nobody waits for so long: it was switched off or scaled to nothing meanwhile, and may sleep again later."""

Spawn = Callable[[str, Coroutine[Any, Any, None]], None]
"""Lets work for a channel go on in the background."""

SleepStep = steps.Freeze | steps.Thaw | steps.Trust | steps.NoteSleep | steps.NoteDeath | steps.NoteVisit


class Teller(Protocol):
    """What ``tell_wake`` needs of apply's tools."""

    @property
    def events(self) -> EventSpool: ...
    @property
    def clock(self) -> Clock: ...


class SleepApplier:
    """Does the steps of sleep."""

    def __init__(self, engine: Engine, memories: MemoryStore, events: EventSpool, clock: Clock, spawn: Spawn) -> None:
        self._engine = engine
        self._memories = memories
        self._events = events
        self._clock = clock
        self._spawn = spawn

    async def do(self, desired: DesiredChannel, memory: ChannelMemory, step: SleepStep) -> None:
        """Do one step. When an instance cannot be frozen the stage is not noted: the channel wakes, and is tried again in an hour."""
        match step:
            case steps.Freeze(instance):
                await self._freeze(memory, instance)
            case steps.Thaw(instance):
                await self._thaw(memory, instance)
            case steps.Trust(instance):
                own = memory.instance(instance.id)
                own.ready_since, own.trusted = self._clock.now(), True
            case steps.NoteVisit():
                memory.visited_at = self._clock.steady()
            case steps.NoteDeath(instance):
                kind = EventKind.INSTANCE_OUT_OF_MEMORY if instance.out_of_memory else EventKind.INSTANCE_CRASHED
                text = f"{instance.process}.{instance.index} ended while it was asleep ({instance.reason}). The next visitor starts it."
                self._events.emit(kind, desired.site_id, desired.channel_id, text)
            case steps.NoteSleep(SleepStage.FROZEN) if (memory.not_frozen_at or 0.0) > (memory.stage_at or 0.0):
                pass
            case steps.NoteSleep(stage, shape):
                self._note(desired, memory, stage, shape)

    async def _freeze(self, memory: ChannelMemory, instance: Instance) -> None:
        own = memory.instance(instance.id)
        own.freezes += 1
        try:
            await self._engine.freeze(instance.id)
        except EngineError as error:
            memory.not_frozen_at = self._clock.steady()
            log.warning("instance.not_frozen", extra={"instance": instance.id, "reason": str(error)})

    async def _thaw(self, memory: ChannelMemory, instance: Instance) -> None:
        own = memory.instance(instance.id)
        own.freezes += 1
        own.failures, own.probed_at = 0, self._clock.now()
        try:
            await self._engine.thaw(instance.id)
        except EngineError as error:
            # It has ended meanwhile; the next look sees that, and starts another.
            log.info("instance.not_thawed", extra={"instance": instance.id, "reason": str(error)})

    def _note(self, desired: DesiredChannel, memory: ChannelMemory, stage: SleepStage, shape: str) -> None:
        now, steady = self._clock.now(), self._clock.steady()
        before = memory.sleep
        idle = memory.rest(now, steady).idle
        last = max(before.last_request_at, memory.last_request_at)
        memory.sleep = replace(before, stage=stage, since=now, shape=shape, idle=idle, last_request_at=last)
        memory.stage_at = steady
        if stage is SleepStage.AWAKE:
            memory.sleep = Sleep(since=now, last_request_at=last)
            memory.visited_at = steady
        elif stage in (SleepStage.FROZEN, SleepStage.STOPPED):
            self._tell(desired, _asleep_text(memory.sleep, frozen_before=before.stage is SleepStage.FROZEN))
        else:
            memory.crashes.clear()  # all of it was ready: old crashes must not make its next start look like one that fails
            self._spawn(desired.channel_id, self._measure(desired.channel_id, tuple(memory.instances)))

    def _tell(self, desired: DesiredChannel, text: str) -> None:
        self._events.emit(EventKind.SLEPT, desired.site_id, desired.channel_id, text)

    async def _measure(self, channel_id: str, instances: tuple[str, ...]) -> None:
        """Note how much memory these take now, which is what is freed when they stop."""
        total = 0
        for instance_id in instances:
            total += (await self._engine.stats(instance_id)).memory_bytes
        memory = self._memories.of(channel_id)
        if memory.sleep.stage is not SleepStage.AWAKE:
            memory.sleep = replace(memory.sleep, saved_bytes=total)
            self._memories.save(channel_id)


def _asleep_text(sleep: Sleep, *, frozen_before: bool) -> str:
    idle = in_words(sleep.idle)
    if sleep.stage is SleepStage.FROZEN:
        return f"Asleep after {idle} without a visitor: its processes stand still in memory."
    saved = f" {sleep.saved_bytes / 1024 / 1024:.0f} MB are freed." if sleep.saved_bytes else ""
    return f"{'Stopped' if frozen_before else 'Asleep'} after {idle} without a visitor.{saved}"


def in_words(seconds: float) -> str:
    """A length of time for a person: seconds below two minutes, else minutes."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def tell_wake(tools: Teller, desired: DesiredChannel, memory: ChannelMemory) -> None:
    """Once whoever waits is served, or cannot be: say so in the timeline, and let the idle clock begin anew."""
    wake = memory.wake
    if wake is None:
        return
    awake = memory.sleep.stage is SleepStage.AWAKE
    if awake and memory.route is not None and memory.route.sockets:
        steady = tools.clock.steady()
        memory.wake, memory.visited_at = None, steady
        tools.events.emit(EventKind.WOKE, desired.site_id, desired.channel_id, f"Woke in {_exact(steady - wake.at)} for {wake.who}.")
    elif awake and memory.said:
        memory.wake = None
        tools.events.emit(EventKind.WAKE_FAILED, desired.site_id, desired.channel_id, f"Could not be woken for {wake.who}. {memory.said}")
    elif awake and tools.clock.steady() - wake.at > FORGOTTEN_SECONDS:
        memory.wake = None


def _exact(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
