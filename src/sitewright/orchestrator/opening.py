"""What the router serves when a node has started: first whom a visitor asks for, then what was settled before, then everything else.

What another version of the planner has settled is served as it was, and planned again bit by bit: after an upgrade nobody waits for that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Container

from sitewright.domain.desired import DesiredChannel
from sitewright.errors import SitewrightError
from sitewright.orchestrator.desired import DesiredStore
from sitewright.orchestrator.memory import ChannelMemory, MemoryStore
from sitewright.orchestrator.model import wanted_processes
from sitewright.orchestrator.routes import Routes
from sitewright.orchestrator.sleep import adopted

log = logging.getLogger(__name__)

AT_ONCE = 5
"""Channels routed before anybody else gets a turn: some milliseconds, while visitors are already there."""
PLANNED_AGAIN_AT_ONCE = 20
PLANNED_AGAIN_SECONDS = 0.5
"""So many, and so much of a pause: 20,000 in ten minutes, with a twentieth of a processor."""

Lock = Callable[[str], asyncio.Lock]
Open = Callable[[DesiredChannel], Awaitable[None]]


def adopt_sleep(desired: DesiredChannel, memory: ChannelMemory) -> None:
    """An upgrade wakes nobody: a sleeping channel of which nothing new is wanted sleeps on, whatever this version would call it."""
    if memory.applied == desired.generation:
        memory.sleep = adopted(memory.sleep, wanted_processes(desired))


class Opening:
    """Which channels the router was not given yet. *open_channel* plans one and gives it, and is called with its lock held."""

    def __init__(self, store: DesiredStore, memories: MemoryStore, routes: Routes, lock: Lock, open_channel: Open) -> None:
        self._store = store
        self._memories = memories
        self._routes = routes
        self._lock = lock
        self._open_channel = open_channel
        self._unopened: set[str] = set()
        self.stale: dict[str, None] = {}
        """Served as another version of the planner settled it."""
        self.begun = False

    def begin(self) -> None:
        """The store is loaded: nothing of it is served yet, as far as this process knows."""
        self._unopened = set(self._store.ids())
        self.begun = True

    async def everything(self, running: Container[str]) -> None:
        """Serve all channels; of those that have to be planned, the *running* ones first."""
        await self._serve_settled(running)
        for number, channel_id in enumerate(sorted(self._unopened, key=lambda channel_id: channel_id not in running)):
            await self.first(channel_id)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)

    async def first(self, channel_id: str) -> None:
        """Serve this channel, if that was not done yet."""
        if channel_id not in self._unopened:
            return
        async with self._lock(channel_id):
            await self._plan(channel_id, self._unopened)
            self._unopened.discard(channel_id)

    async def plan_again(self) -> None:
        """Plan some of those that another version has settled."""
        for channel_id in list(self.stale)[:PLANNED_AGAIN_AT_ONCE]:
            async with self._lock(channel_id):
                await self._plan(channel_id, self.stale)
                self.stale.pop(channel_id, None)

    def is_new(self, channel_id: str) -> bool:
        """Whether this process has not planned it yet; asked when it is about to."""
        was_new = channel_id in self._unopened or channel_id in self.stale
        self.stale.pop(channel_id, None)
        return was_new

    async def _plan(self, channel_id: str, waiting: Container[str]) -> None:
        desired = self._store.get(channel_id) if channel_id in waiting else None
        if desired is not None:
            await self._open_channel(desired)

    async def _serve_settled(self, running: Container[str]) -> None:
        """Serve what was known to be settled, without planning it again."""
        for number, settled in enumerate(self._memories.settled()):
            channel_id = settled.route.channel_id
            told = self._store.told(channel_id)
            if told is None or told.removed or told.generation != settled.applied or channel_id in running:
                continue
            try:
                self._routes.set(settled.route)
            except (SitewrightError, OSError):
                log.exception("channel.not_routed", extra={"channel": channel_id})
                continue
            self._unopened.discard(channel_id)
            if settled.stale:
                self.stale[channel_id] = None
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
