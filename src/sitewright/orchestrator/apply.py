"""The only part of the orchestrator that acts: does a plan's steps. What takes long goes on in the background and wakes the loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from sitewright.config.settings import Settings
from sitewright.domain.backoff import FREE_RESTARTS, restart_delay
from sitewright.domain.desired import DesiredChannel
from sitewright.domain.events import EventKind
from sitewright.domain.states import Power
from sitewright.engines.base import Engine, InstanceSpec, Observed
from sitewright.errors import SitewrightError
from sitewright.orchestrator import steps
from sitewright.orchestrator.apply_cron import Copy, CronApplier
from sitewright.orchestrator.apply_release import ReleaseApplier, UsedFolders
from sitewright.orchestrator.apply_sleep import SleepApplier
from sitewright.orchestrator.connections import Connections
from sitewright.orchestrator.events import EventSpool
from sitewright.orchestrator.folders import make_folders
from sitewright.orchestrator.health import Prober
from sitewright.orchestrator.logs import LogStore, Source
from sitewright.orchestrator.memory import ChannelMemory, MemoryStore
from sitewright.orchestrator.model import Crash, Instance
from sitewright.orchestrator.prepared import PreparedSites
from sitewright.orchestrator.routes import Routes
from sitewright.orchestrator.specs import instance_spec
from sitewright.orchestrator.visits import note_hands
from sitewright.system.clock import Clock
from sitewright.system.processes import Runner

log = logging.getLogger(__name__)

STOP_AGAIN_SECONDS = 1.0
REFUSED_SECONDS = 2.0
"""The engine itself failed to start it: not tried again at once even while restarts are free."""

EnsureTree = Callable[[DesiredChannel], Awaitable[None]]
"""Puts the wanted release's files on this disk. Raises SitewrightError."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What apply works with."""

    settings: Settings
    engine: Engine
    routes: Routes
    clock: Clock
    runner: Runner
    prober: Prober
    ensure_tree: EnsureTree
    logs: LogStore
    events: EventSpool
    memories: MemoryStore
    connections: Connections


class Applier:
    """Does steps. ``wake`` is called with a channel's id when something in the background has ended."""

    def __init__(self, tools: Tools, wake: Callable[[str], None], used_folders: UsedFolders) -> None:
        self._tools = tools
        self._wake = wake
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._cron = CronApplier(tools, self.launch)
        self._releases = ReleaseApplier(tools, self._spawn, used_folders)
        self._sleep = SleepApplier(tools.engine, tools.memories, tools.events, tools.clock, self._spawn)
        self.prepared = PreparedSites(tools.settings, tools.engine, tools.memories, self._spawn)
        self.started: Callable[[InstanceSpec, bool], None] = lambda _spec, _adopting: None
        """Told of each instance that was started, and whether it is adopting."""

    @property
    def busy(self) -> int:
        """How much goes on in the background."""
        return len(self._tasks)

    async def close(self) -> None:
        """Let go of what goes on; all of it is taken up again after a restart."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def do(self, desired: DesiredChannel, step: steps.Step) -> None:
        """Do one step. Raises SitewrightError or OSError when it could not be done."""
        memory = self._tools.memories.of(desired.channel_id)
        match step:
            case steps.Start():
                await self._start(desired, memory, step)
            case steps.Stop():
                self._stop(desired, memory, step)
            case steps.Remove(instance):
                await self._remove(memory, instance)
            case steps.Probe(instance):
                self._probe(desired, memory, instance)
            case steps.RunHook() | steps.EnsureTree() | steps.NoteTrial() | steps.DeleteFiles():
                self._releases.do(desired, memory, step)
            case steps.NoteCron() | steps.StartRun() | steps.EndRun():
                await self._cron.do(desired, memory, step)
            case steps.Freeze() | steps.Thaw() | steps.Trust() | steps.NoteSleep() | steps.NoteDeath() | steps.NoteVisit():
                await self._sleep.do(desired, memory, step)
            case _:
                self._note(desired, memory, step)

    def _note(self, desired: DesiredChannel, memory: ChannelMemory, step: steps.Step) -> None:
        """Steps that only remember or route: quick, nothing to wait for."""
        now = self._tools.clock.now()
        match step:
            case steps.Evacuate(instance):
                own = memory.instance(instance.id)
                own.evacuating_since, own.ready_since = now, None
            case steps.MarkReady(instance):
                self._mark_ready(desired, memory, instance)
            case steps.NoteCrash(instance, crash):
                self._note_crash(desired, memory, instance, crash)
            case steps.SetRoute(route):
                self._tools.routes.set(route)
                note_hands(memory, memory.route, route, self._tools.clock.steady())
                memory.route = route
            case steps.NoteSlots(holders):
                memory.slots = holders
            case steps.RemoveRoute():
                self._tools.routes.remove(desired.channel_id)
                memory.route = None
            case steps.NoteServing(serving):
                memory.serving = serving
            case steps.NoteApplied(generation):
                memory.applied = generation
                memory.visited_at = self._tools.clock.steady()
                if desired.power is Power.OFF:
                    memory.crashes.clear()  # whoever switches it on again has probably mended it, and does not want to wait
                self._releases.prune(desired)
            case _:
                raise TypeError(f"{type(step).__name__} is no step of a plan")

    def _emit(self, desired: DesiredChannel, kind: EventKind, text: str) -> None:
        self._tools.events.emit(kind, desired.site_id, desired.channel_id, text)

    def source(self, desired: DesiredChannel, name: str) -> Source:
        """Where output of that process is kept."""
        return Source(self._tools.settings.paths.channel_logs(desired.site_id, desired.channel), name)

    # --- the background ---
    def end_orphan(self, item: Observed) -> None:
        """Stop and forget an instance of a channel that nobody knows."""
        self._spawn(item.spec.channel_id, self._end_orphan(item))

    async def _end_orphan(self, item: Observed) -> None:
        log.info("orphan.stopped", extra={"instance": item.spec.id, "channel": item.spec.channel_id})
        await self._tools.engine.stop(item.spec.id, item.spec.stop_grace_seconds)
        await self._tools.engine.remove(item.spec.id)

    def _spawn(self, channel_id: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._guard(channel_id, work))
        self._tasks[task] = channel_id
        task.add_done_callback(self._tasks.pop)

    async def _guard(self, channel_id: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (SitewrightError, OSError) as error:
            log.warning("apply.background_failed", extra={"channel": channel_id, "reason": str(error)})
        except Exception:
            log.exception("apply.background_failed", extra={"channel": channel_id})
        finally:
            self._wake(channel_id)

    # --- instances ---
    async def _start(self, desired: DesiredChannel, memory: ChannelMemory, step: steps.Start) -> None:
        process, digest = step.wanted.spec.type, step.wanted.digest
        try:
            await self.launch(desired, memory, Copy(self.prepared.take(desired, step.wanted, step.index), step.wanted, step.index))
        except SitewrightError as error:
            known = memory.crash_of(process, digest)
            count = known.count + 1 if known is not None else 1
            not_before = self._tools.clock.now() + max(restart_delay(count), REFUSED_SECONDS)
            memory.note_crash(Crash(process, digest, max(count, FREE_RESTARTS), not_before, f"could not be started: {error}"))
            log.warning("instance.not_started", extra={"channel": desired.channel_id, "process": process, "reason": str(error)})

    async def launch(self, desired: DesiredChannel, memory: ChannelMemory, copy: Copy) -> None:
        """Start one instance. Raises SitewrightError; nothing is left of it then."""
        settings = self._tools.settings
        make_folders(settings, desired)
        spec = instance_spec(settings, desired, copy.wanted, copy.id, copy.index)
        memory.instance(spec.id)
        self._tools.logs.register(spec.id, self.source(desired, f"{copy.wanted.spec.type}.{copy.index}"))
        try:
            adopting = await self._tools.engine.start(spec)
        except SitewrightError:
            self._tools.logs.release(spec.id)
            memory.instances.pop(spec.id, None)
            raise
        self.started(spec, adopting)

    def _stop(self, desired: DesiredChannel, memory: ChannelMemory, step: steps.Stop) -> None:
        own = memory.instance(step.instance.id)
        if own.stopping:
            return
        own.stopping = own.told_to_stop = True
        own.ready_since = own.evacuating_since = None
        self._spawn(desired.channel_id, self._end(memory, step))

    async def _end(self, memory: ChannelMemory, step: steps.Stop) -> None:
        try:
            await self._tools.engine.stop(step.instance.id, step.grace_seconds)
        except SitewrightError:
            await asyncio.sleep(STOP_AGAIN_SECONDS)
            raise
        finally:
            memory.instance(step.instance.id).stopping = False

    async def _remove(self, memory: ChannelMemory, instance: Instance) -> None:
        await self._tools.engine.remove(instance.id)
        self._tools.logs.release(instance.id)
        memory.instances.pop(instance.id, None)

    def _probe(self, desired: DesiredChannel, memory: ChannelMemory, instance: Instance) -> None:
        memory.instance(instance.id).probing = True
        self._spawn(desired.channel_id, self._look(desired, memory, instance))

    async def _look(self, desired: DesiredChannel, memory: ChannelMemory, instance: Instance) -> None:
        host = desired.hosts[0] if desired.hosts else "localhost"
        answers = False
        freezes = memory.instance(instance.id).freezes
        # That it takes connections says nothing of one that has never answered: they wait in its socket.
        asked = replace(instance, ready_since=None) if memory.instance(instance.id).trusted else instance
        try:
            answers = await self._tools.prober(asked, host)
        finally:
            own = memory.instances.get(instance.id)
            if own is not None:
                own.probing, own.probed_at = False, self._tools.clock.now()
        if own is None or own.told_to_stop or own.evacuating_since is not None or own.freezes != freezes:
            return
        if not answers:
            still_starts = own.trusted and own.probed_at - instance.started_at < instance.health.startup_seconds
            own.failures += 1 if own.ready_since is not None and not still_starts else 0
            return
        own.failures, own.trusted = 0, False
        if own.ready_since is None:
            memory.learn_start(instance.digest, self._tools.clock.now() - instance.started_at)
            self._mark_ready(desired, memory, instance)

    def _mark_ready(self, desired: DesiredChannel, memory: ChannelMemory, instance: Instance) -> None:
        memory.instance(instance.id).ready_since = self._tools.clock.now()
        self._emit(desired, EventKind.INSTANCE_READY, f"{instance.process}.{instance.index} is ready.")

    def _note_crash(self, desired: DesiredChannel, memory: ChannelMemory, instance: Instance, crash: Crash) -> None:
        memory.note_crash(crash)
        memory.start_seconds.pop(instance.digest, None)
        kind = EventKind.INSTANCE_CRASHED
        if instance.out_of_memory:
            kind = EventKind.INSTANCE_OUT_OF_MEMORY
        elif instance.failures:
            kind = EventKind.INSTANCE_UNHEALTHY
        name = f"{instance.process}.{instance.index}"
        self._emit(desired, kind, f"{name} {crash.reason}.")
        wait = crash.not_before - self._tools.clock.now()
        if wait > 0.5:
            self._emit(desired, EventKind.INSTANCE_BACKOFF, f"{name} is started again in {wait:.0f} s (crash {crash.count} in a row).")
        self._tools.logs.say(self.source(desired, name), f"[sitewright] {name} {crash.reason}")
