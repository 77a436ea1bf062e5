"""Which sleeping sites have a sandbox made ahead: those that were stopped last, as long as there is memory to spare.

Nothing of this is on disk. An engine ends with itself what it has made ahead, so a node that starts has none, and nobody to forget.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from sitewright.config.settings import Settings
from sitewright.domain.desired import DesiredChannel
from sitewright.domain.identity import new_id
from sitewright.domain.sleep import SleepStage
from sitewright.domain.states import Power
from sitewright.engines.base import Engine, InstanceSpec
from sitewright.orchestrator.desired import DesiredStore
from sitewright.orchestrator.memory import ChannelMemory, MemoryStore
from sitewright.orchestrator.model import WEB, Wanted, is_job, wanted_processes
from sitewright.orchestrator.specs import instance_spec
from sitewright.orchestrator.view import EngineView
from sitewright.system.memory import available_bytes, installed_bytes

log = logging.getLogger(__name__)

LEAST_FREE_SHARE = 0.1
"""Of the machine's memory: with less available nothing is made ahead, and what was is given up."""

Spawn = Callable[[str, Coroutine[Any, Any, None]], None]
"""Lets work for a channel go on in the background."""


def memory_is_low() -> bool:
    """Whether the machine has better uses for its memory."""
    return available_bytes() < LEAST_FREE_SHARE * installed_bytes()


class PreparedSites:
    """Remembers at most ``Settings.prepared_sites`` channels, the one that was stopped longest ago first."""

    def __init__(self, settings: Settings, engine: Engine, memories: MemoryStore, spawn: Spawn) -> None:
        self._settings = settings
        self._engine = engine
        self._memories = memories
        self._spawn = spawn
        self._wanted: dict[str, InstanceSpec] = {}
        """Channel id → the instance that is to be made ahead, or is."""
        self._made: set[str] = set()
        """Instance ids."""
        self._lived: set[str] = set()
        """Channels that this process has seen awake or frozen: of ten thousand that sleep when it starts none was stopped lately."""
        self._working = False
        self.low: Callable[[], bool] = memory_is_low

    def __len__(self) -> int:
        return len(self._made)

    def take(self, desired: DesiredChannel, wanted: Wanted, index: int) -> str:
        """The id for an instance that is to be started: of the one made ahead, if that is the very same; else a new one."""
        known = self._wanted.get(desired.channel_id)
        if known is None or known.process != wanted.spec.type:
            return new_id()
        fits = known.id in self._made and known == instance_spec(self._settings, desired, wanted, known.id, index)
        if not fits:
            self.give_up(desired.channel_id)
            return new_id()
        del self._wanted[desired.channel_id]
        self._made.discard(known.id)
        return known.id

    def look(self, channel_id: str, store: DesiredStore, view: EngineView) -> None:
        """The channel was looked at, and what was to do for it was done: has it just been stopped, or is it no more what it was?"""
        memory = self._memories.loaded(channel_id)
        if memory is None or self._settings.prepared_sites <= 0:
            return
        lives = any(not is_job(item.spec.process) for item in view.of(channel_id))
        if memory.sleep.stage is not SleepStage.STOPPED:
            if lives:
                self._lived.add(channel_id)
            if memory.wake is None:
                self.give_up(channel_id)
            return
        if channel_id in self._lived and not lives:
            self._lived.discard(channel_id)
            self._want(store.get(channel_id), memory)
        elif channel_id in self._wanted and not _may_be_made(store.get(channel_id)):
            self.give_up(channel_id)

    def check_memory(self) -> None:
        """Give up all when memory has become short."""
        if self._wanted and self.low():
            log.info("prepared.given_up", extra={"count": len(self._wanted)})
            for channel_id in tuple(self._wanted):
                self.give_up(channel_id)

    def give_up(self, channel_id: str) -> None:
        """What was made for that channel, or is being made, is not wanted any more."""
        spec = self._wanted.pop(channel_id, None)
        if spec is not None and spec.id in self._made:
            self._made.discard(spec.id)
            self._spawn(channel_id, self._engine.discard(spec.id))

    def _want(self, desired: DesiredChannel | None, memory: ChannelMemory) -> None:
        web = next((w for w in wanted_processes(desired) if w.spec.type == WEB), None) if desired is not None else None
        if desired is None or web is None or not _may_be_made(desired) or memory.crashes or self.low():
            return
        self.give_up(desired.channel_id)
        self._wanted[desired.channel_id] = instance_spec(self._settings, desired, web, new_id(), 1)
        while len(self._wanted) > self._settings.prepared_sites:
            self.give_up(next(iter(self._wanted)))
        if not self._working:
            self._working = True
            self._spawn(desired.channel_id, self._work())

    async def _work(self) -> None:
        """One after the other, the one that was stopped last first: when a hundred stop at once, few of them are made for nothing."""
        try:
            while waiting := [item for item in self._wanted.items() if item[1].id not in self._made]:
                channel_id, spec = waiting[-1]
                made = await self._engine.prepare(spec)
                if self._wanted.get(channel_id) is not spec:
                    await self._engine.discard(spec.id)
                elif made:
                    self._made.add(spec.id)
                else:
                    del self._wanted[channel_id]
        finally:
            self._working = False


def _may_be_made(desired: DesiredChannel | None) -> bool:
    return desired is not None and not desired.removed and desired.power is Power.ON
