"""What the node tells the manager: heartbeats with what changed, everything now and then, and events until they are acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
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
"""How often everything is told again, whether or not anybody has missed anything: more seldom when it is much to say …"""
FULL_SECONDS_A_CHANNEL = 0.1
"""… (20,000 channels: every 33 minutes). A manager that has missed a message asks for it at its next comparison."""
STATS_SECONDS = 30.0
"""How often is told what running instances use."""
CHUNK = 250
"""Channels a message: some 100 kB at most, so that nothing else waits long behind it."""
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
        self._told: dict[str, int] = {}
        """Digests of what was said last of channels that are not at rest."""
        self._woken = asyncio.Event()
        self._eventful = asyncio.Event()
        self._full_at: float | None = None
        self._stats_at = 0.0
        self.builds_running = 0
        orchestrator.listeners.append(self._note)

    def _note(self, channels: frozenset[str]) -> None:
        self._changed |= channels
        self._woken.set()
        self._eventful.set()

    def want_full(self) -> None:
        """Send everything with the next beat, which is now."""
        self._full_at = None
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
                due = now - last >= BEAT_SECONDS
                full = self._full_at is None or now - self._full_at >= self._full_seconds()
                if full:
                    self._full_at = now
                if full or self._changed or due:
                    said = await self._tell_all() if full else await self._beat(now, due=due)
                    last = now if said else last
                    await asyncio.sleep(COALESCE_SECONDS if said else 0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_SECONDS if linked else LINK_SECONDS):
                    await self._woken.wait()

    async def _tell_events(self) -> None:
        while True:
            self._eventful.clear()
            if self._bus.connected:
                await self._send_events()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_SECONDS):
                    await self._eventful.wait()
            await asyncio.sleep(COALESCE_SECONDS)

    async def _hello(self) -> bool:
        hello = Hello(node=self._node, version=__version__, engine=self._engine_name)
        try:
            await self._bus.request(node_topic(self._node, "hello"), hello, Ack, timeout=3.0)
        except SitewrightError as error:
            log.debug("hello.unanswered", extra={"reason": str(error)})
            return False
        return True

    def _full_seconds(self) -> float:
        return max(FULL_SECONDS, FULL_SECONDS_A_CHANNEL * len(self._orchestrator.store.ids()))

    async def message(self, channels: Sequence[str], *, with_stats: bool) -> Heartbeat:
        """A heartbeat about these channels."""
        return self._envelope([await self._orchestrator.actual(c, with_stats=with_stats) for c in channels])

    def _envelope(self, channels: Sequence[ActualChannel], *, part: int = 0, parts: int = 0) -> Heartbeat:
        """*parts* 0: no full report."""
        total, used = machine_memory()
        self._sequence += 1
        return Heartbeat(
            node=self._node,
            at=self._orchestrator.tools.clock.now(),
            sequence=self._sequence,
            full=parts > 0,
            part=part,
            parts=max(parts, 1),
            channels=tuple(channels),
            memory_total=total,
            memory_used=used,
            builds_running=self.builds_running,
        )

    async def _tell_all(self) -> bool:
        """Everything, a part at a time; what changes meanwhile is told afterwards."""
        self._changed.clear()
        chunks = list(batched(sorted(self._orchestrator.store.ids()))) or [[]]
        for part, names in enumerate(chunks):
            channels = [await self._orchestrator.actual(c, with_stats=True) for c in names]
            try:
                await self._publish(self._envelope(channels, part=part, parts=len(chunks)))
            except SitewrightError:
                self._full_at = None
                return True
            await asyncio.sleep(0)
        self._stats_at = self._orchestrator.tools.clock.steady()
        return True

    async def _beat(self, now: float, *, due: bool) -> bool:
        """What changed, and now and then what running instances use. Whether there was something to say: often a channel was looked at
        and is as it was."""
        changed, self._changed = self._changed, set()
        with_stats = now - self._stats_at >= STATS_SECONDS
        if with_stats:
            self._stats_at = now
        running = self._orchestrator.running_ids() if with_stats else frozenset()
        chunks = list(batched(sorted(changed | running))) or [[]]
        said = False
        for names in chunks:
            channels = [await self._orchestrator.actual(c, with_stats=with_stats) for c in names]
            fresh = channels if with_stats else [c for c in channels if self._told.get(c.channel_id) != _digest(c)]
            if fresh or (due and names is chunks[-1] and not said):
                said = True
                try:
                    await self._publish(self._envelope(fresh))
                except SitewrightError:
                    self._changed |= changed
                    return True
        return said

    async def _publish(self, message: Heartbeat) -> None:
        await self._bus.publish(node_topic(self._node, "heartbeat"), message)
        for channel in message.channels:
            if self._orchestrator.tools.memories.resting(channel.channel_id) is None:
                self._told[channel.channel_id] = _digest(channel)
            else:
                self._told.pop(channel.channel_id, None)

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


def _digest(channel: ActualChannel) -> int:
    """Tells two reports of one channel apart, whatever its instances use just now."""
    quiet = tuple(replace(instance, memory_bytes=0, cpu_seconds=0.0) for instance in channel.instances)
    return hash(replace(channel, instances=quiet))


def batched(names: list[str]) -> Iterator[list[str]]:
    """The names in pieces of at most ``CHUNK``."""
    return (names[start : start + CHUNK] for start in range(0, len(names), CHUNK))
