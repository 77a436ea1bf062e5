"""What the node tells the manager: heartbeats with what changed, everything now and then, and events until they are acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

from sitewright import __version__
from sitewright.bus.base import Bus
from sitewright.bus.messages import Ack, EventBatch, Heartbeat, Hello
from sitewright.bus.subjects import node_topic
from sitewright.domain.desired import ActualChannel
from sitewright.errors import SitewrightError, UnavailableError
from sitewright.orchestrator.daemon import Orchestrator
from sitewright.orchestrator.events import EventSpool

log = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
FULL_SECONDS = 30.0
COALESCE_SECONDS = 0.05
"""The first change is told at once; those that follow within this go together."""
LINK_SECONDS = 1.0


def machine_memory(meminfo: Path = Path("/proc/meminfo")) -> tuple[int, int]:
    """Bytes of memory in all and in use (all less what is available); zeros when the kernel does not tell."""
    figures: dict[str, int] = {}
    with contextlib.suppress(OSError, ValueError):
        for line in meminfo.read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in ("MemTotal", "MemAvailable"):
                figures[name] = int(rest.split()[0]) * 1024
    total = figures.get("MemTotal", 0)
    return total, total - figures.get("MemAvailable", total)


class Reporter:
    """Speaks for the node. Whatever cannot be sent now is sent in full when the bus is back."""

    def __init__(self, bus: Bus, orchestrator: Orchestrator, events: EventSpool, engine_name: str) -> None:
        self._bus = bus
        self._orchestrator = orchestrator
        self._events = events
        self._engine_name = engine_name
        self._node = orchestrator.tools.settings.node
        self._sequence = 0
        self._changed: set[str] = set()
        self._told: dict[str, ActualChannel] = {}
        self._woken = asyncio.Event()
        self._eventful = asyncio.Event()
        self._full_at = 0.0
        self.builds_running = 0
        orchestrator.listeners.append(self._note)

    def _note(self, channels: frozenset[str]) -> None:
        self._changed |= channels
        self._woken.set()
        self._eventful.set()

    def want_full(self) -> None:
        """Send everything with the next beat, which is now."""
        self._full_at = 0.0
        self._told.clear()
        self._woken.set()
        self._eventful.set()

    async def run(self) -> None:
        """Speak until cancelled. Events go their own way: a manager that is slow to take them delays no heartbeat."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._beats())
            loops.create_task(self._tell_events())

    async def _beats(self) -> None:
        """Hello comes first after each (re)connection."""
        linked = False
        last = 0.0
        while True:
            self._woken.clear()
            now = self._orchestrator.tools.clock.steady()
            if not self._bus.connected:
                linked = False
            else:
                if not linked:
                    linked = await self._hello()
                    if linked:
                        self.want_full()
                full = now - self._full_at >= FULL_SECONDS or not self._told
                due = now - last >= BEAT_SECONDS
                if full or self._changed or due:
                    said = await self._beat(full=full, due=due)
                    last = now if said else last
                    self._full_at = now if full else self._full_at
                    await asyncio.sleep(COALESCE_SECONDS if said else 0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), BEAT_SECONDS if linked else LINK_SECONDS)

    async def _tell_events(self) -> None:
        while True:
            self._eventful.clear()
            if self._bus.connected:
                await self._send_events()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._eventful.wait(), BEAT_SECONDS)
            await asyncio.sleep(COALESCE_SECONDS)

    async def _hello(self) -> bool:
        hello = Hello(node=self._node, version=__version__, engine=self._engine_name)
        try:
            await self._bus.request(node_topic(self._node, "hello"), hello, Ack, timeout=3.0)
        except SitewrightError as error:
            log.debug("hello.unanswered", extra={"reason": str(error)})
            return False
        return True

    async def message(self, channels: tuple[str, ...], *, full: bool, with_stats: bool) -> Heartbeat:
        """A heartbeat about these channels."""
        total, used = machine_memory()
        self._sequence += 1
        return Heartbeat(
            node=self._node,
            at=self._orchestrator.tools.clock.now(),
            sequence=self._sequence,
            full=full,
            channels=tuple([await self._orchestrator.actual(c, with_stats=with_stats) for c in channels]),
            memory_total=total,
            memory_used=used,
            builds_running=self.builds_running,
        )

    async def _beat(self, *, full: bool, due: bool) -> bool:
        """Whether there was something to say. Often a channel was looked at and is as it was."""
        changed, self._changed = self._changed, set()
        names = sorted(self._orchestrator.store.all() if full else changed)
        message = await self.message(tuple(names), full=full, with_stats=full)
        if not full:
            fresh = tuple(c for c in message.channels if self._told.get(c.channel_id) != c)
            if not fresh and not due:
                return False
            message = message.model_copy(update={"channels": fresh})
        try:
            await self._bus.publish(node_topic(self._node, "heartbeat"), message)
        except SitewrightError:
            self._changed |= changed
            return True
        self._told.update({c.channel_id: c for c in message.channels})
        return True

    async def _send_events(self) -> None:
        while batch := self._events.oldest():
            try:
                answer = await self._bus.request(
                    node_topic(self._node, "events"), EventBatch(node=self._node, events=batch), Ack, timeout=5.0
                )
            except UnavailableError:
                return
            except SitewrightError as error:
                log.warning("events.refused", extra={"reason": str(error)})
                return
            if answer.problem:
                log.warning("events.refused", extra={"reason": answer.problem})
                return
            self._events.acknowledge(batch)
