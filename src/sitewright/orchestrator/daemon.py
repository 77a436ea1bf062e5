"""The loop: observe → plan → apply, for the channels that something happened to; a full look at everything every few seconds.

A channel that fails fails alone: its error becomes its problem, and the loop goes on with the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from weakref import WeakValueDictionary

from sitewright.domain.desired import ActualChannel, DesiredChannel
from sitewright.domain.release import Release
from sitewright.domain.sleep import SleepStage
from sitewright.domain.traffic import HostTraffic
from sitewright.engines.base import Observed
from sitewright.errors import SitewrightError
from sitewright.orchestrator import steps
from sitewright.orchestrator.apply import Applier, Tools
from sitewright.orchestrator.apply_sleep import tell_wake
from sitewright.orchestrator.desired import DesiredStore
from sitewright.orchestrator.look import Looker
from sitewright.orchestrator.memory import ChannelMemory, Wake
from sitewright.orchestrator.model import Actual, Serving
from sitewright.orchestrator.observe import Known, Trees, actual_of, presume
from sitewright.orchestrator.opening import PLANNED_AGAIN_SECONDS, Opening, adopt_sleep
from sitewright.orchestrator.plan import plan
from sitewright.orchestrator.problems import in_full
from sitewright.orchestrator.report import of_channel, of_resting
from sitewright.orchestrator.specs import tree_of, wanted_trees
from sitewright.orchestrator.strays import FULL_LOOK_SECONDS, Strays
from sitewright.orchestrator.view import EngineView
from sitewright.orchestrator.visits import note_slots
from sitewright.orchestrator.watch import ExitWatch

log = logging.getLogger(__name__)

TROUBLE_SECONDS = 5.0
"""When to try a channel again whose steps failed."""
AT_ONCE = 8
"""Channels converged side by side, so that one slow start does not hold up the rest."""
COALESCE_SECONDS = 0.002
SERVED_FIRST_SECONDS = 0.1
"""After a wake, what can wait leaves the processors to the site that just begins."""
JUMP_SECONDS = 1.0
"""A wall clock that is off by more against the steady one has been set."""
MOST_ROUNDS = 4
"""Plans in a row for one channel that somebody waits for: start, trust, route."""

Listener = Callable[[frozenset[str]], None]
"""Told which channels' actual state may have changed."""


class Orchestrator:
    """Makes what runs on this node match what is wanted."""

    def __init__(self, tools: Tools, store: DesiredStore) -> None:
        self.tools = tools
        self.store = store
        self.applier = Applier(tools, self.wake, self._used_folders)
        self._view = EngineView()
        self._strays = Strays(store, self._view, tools.routes, self.applier)
        self.applier.started = lambda spec, adopting: self._view.started(spec, tools.clock.now(), adopting=adopting)
        self.watch = ExitWatch(self.wake)
        self._looker = Looker(tools, store, self._view, self.watch)
        self.listeners: list[Listener] = []
        self.looked: list[Callable[[str], None]] = [lambda channel_id: self.applier.prepared.look(channel_id, store, self._view)]
        """Told of each channel as soon as it was looked at; ``listeners`` hear of all of a turn at its end."""
        self.loop_seconds = 0.0
        self.agreed = False
        """Whether this node lacked nothing when the manager last compared: only then may what nobody names be deleted."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._dirty: set[str] = set()
        self._timers: list[tuple[float, int, str]] = []
        self._counter = itertools.count()
        self._woken = asyncio.Event()
        self._full_at = 0.0
        self.opening = Opening(store, tools.memories, tools.routes, self._lock, self._open_channel)
        self._offset = tools.clock.now() - tools.clock.steady()
        """What the wall clock shows beyond the steady one; it changes when the wall clock is set."""

    # --- from outside ---
    def wake(self, channel_id: str) -> None:
        """Something happened to this channel."""
        self._dirty.add(channel_id)
        self._woken.set()

    async def put(self, channel: DesiredChannel) -> None:
        """Keep what is wanted, on disk, and act on it."""
        if await asyncio.to_thread(self.store.put, channel):
            self.wake(channel.channel_id)

    async def needs(self) -> tuple[frozenset[str], frozenset[str]]:
        """The droplets of releases that are wanted or served here, and the ids of the sites."""
        droplets, sites = set[str](), set[str]()
        for desired in self.store.scan():
            tried = desired.canary.release if desired.canary is not None else None
            releases = (desired.release, tried, self._served_release(desired))
            droplets.update(release.droplet for release in releases if release is not None)
            droplets.update(desired.kept)
            if not desired.removed:
                sites.add(desired.site_id)
            await asyncio.sleep(0)
        return frozenset(droplets), frozenset(sites)

    def _served_release(self, desired: DesiredChannel) -> Release | None:
        """What its visitors see, where that can be another release than the wanted one."""
        resting = self.tools.memories.resting(desired.channel_id)
        if resting is not None and resting.applied == desired.generation:
            return desired.release
        memory = self.tools.memories.of(desired.channel_id)
        self.tools.memories.let_go(desired.channel_id)
        return memory.serving.release if memory.serving is not None else None

    @property
    def instance_count(self) -> int:
        """How many instances the engine holds, as of the last look."""
        return len(self._view)

    def forget_removed(self, known: frozenset[str]) -> None:
        """Drop the last trace of removed channels that the manager no longer knows; until then it guards against a late message."""
        for channel_id in self.store.removed():
            if channel_id not in known and self.tools.memories.of(channel_id).deleted:
                self.store.forget(channel_id)
                self.tools.memories.forget(channel_id)

    def observed(self, channel_id: str) -> tuple[Observed, ...]:
        """The engine's view of one channel, as of the last look."""
        return self._view.of(channel_id)

    def running_ids(self) -> frozenset[str]:
        """The ids of the channels of which the engine holds anything."""
        return frozenset(self._view)

    def running(self) -> list[DesiredChannel]:
        """The channels of which the engine holds anything."""
        return [desired for channel_id in self._view if (desired := self.store.get(channel_id)) is not None]

    async def actual(self, channel_id: str, *, with_stats: bool = False) -> ActualChannel:
        """What this node does for one channel."""
        told, resting = self.store.told(channel_id), self.tools.memories.resting(channel_id)
        if told is not None and resting is not None and not self.observed(channel_id):
            return of_resting(channel_id, told.generation, resting)
        desired = self.store.get(channel_id)
        if desired is None:
            return ActualChannel(channel_id, 0, 0)
        memory = self.tools.memories.of(channel_id)
        instances = self._look_at(desired, memory).instances
        return await of_channel(desired, memory, instances, self.tools.settings.node, self.tools.engine if with_stats else None)

    # --- life ---
    async def load(self) -> None:
        """Learn what is wanted and what runs already. From then on ``opening`` can serve one channel before the others."""
        self.store.load()
        self._dirty |= await self._looker.look()
        self.opening.begin()

    async def open(self) -> None:
        """Give the router everything it should serve, before anything else is done. Loads first when nobody has."""
        if not self.opening.begun:
            await self.load()
        await self.opening.everything(running=self.running_ids())
        log.info("orchestrator.adopted", extra={"channels": len(self.store.ids()), "instances": len(self._view)})

    async def _open_channel(self, desired: DesiredChannel) -> None:
        """Give the router what it serves of the channel; who needs no more than that is not looked at again."""
        try:
            if await self._route(desired):
                self._dirty.add(desired.channel_id)
        except Exception:
            log.exception("channel.not_routed", extra={"channel": desired.channel_id})
            self._dirty.add(desired.channel_id)

    async def _route(self, desired: DesiredChannel) -> bool:
        """Whether there is more to do than its route."""
        channel_id = desired.channel_id
        memory = self.tools.memories.of(channel_id)
        now = self.tools.clock.now()
        presume(memory, self.observed(channel_id), now)
        adopt_sleep(desired, memory)
        memory.route = None  # whatever was settled: the router may have nothing
        outcome = plan(desired, self._look_at(desired, memory), now, self._tree_of(desired))
        more = False
        for step in outcome.steps:
            if isinstance(step, steps.SetRoute):
                await self.applier.do(desired, step)
            else:
                more = True
        if more or outcome.problem or self.observed(channel_id):
            return True
        self._schedule(memory, channel_id, outcome.next_at)
        memory.settled = self._is_settled(desired, memory, outcome)
        self.tools.memories.save(channel_id)
        self.tools.memories.let_go(channel_id)
        return False

    async def run(self) -> None:
        """Go round until cancelled."""
        while True:
            try:
                await self.turn()
            except Exception:
                log.exception("orchestrator.turn_failed")
                await asyncio.sleep(1.0)
            self._woken.clear()
            if self._dirty:
                await asyncio.sleep(COALESCE_SECONDS)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._idle_seconds()):  # not wait_for: before Python 3.12 it can lose a cancellation
                    await self._woken.wait()
            await asyncio.sleep(COALESCE_SECONDS)

    def _idle_seconds(self) -> float:
        now = self.tools.clock.now()
        due = self._full_at + FULL_LOOK_SECONDS
        if self._timers:
            due = min(due, self._timers[0][0])
        if self.opening.stale:
            due = min(due, now + PLANNED_AGAIN_SECONDS)
        return min(max(due - now, 0.005), FULL_LOOK_SECONDS)

    async def close(self) -> None:
        """Let go of everything without ending it."""
        self.watch.close()
        await self.applier.close()

    # --- one turn ---
    async def turn(self) -> None:
        """One observe → plan → apply for every channel that is due."""
        began = self.tools.clock.steady()
        self._notice_jump(began)
        self._dirty |= await self._looker.look()
        now = self.tools.clock.now()
        if not 0 <= now - self._full_at < FULL_LOOK_SECONDS:
            self._full_at = now
            self._strays.look(now)
        while self._timers and self._timers[0][0] <= now:
            self._dirty.add(heapq.heappop(self._timers)[2])
        due, self._dirty = self._dirty, set()
        wanted = [desired for channel_id in sorted(due) if (desired := self.store.get(channel_id)) is not None]
        for start in range(0, len(wanted), AT_ONCE):
            await asyncio.gather(*(self._converge(desired) for desired in wanted[start : start + AT_ONCE]))
        self.tools.logs.flush()
        if not due:
            await self.opening.plan_again()
        if due:
            for listener in self.listeners:
                listener(frozenset(due))
        self.loop_seconds = self.tools.clock.steady() - began

    def _notice_jump(self, steady: float) -> None:
        """When the wall clock has jumped, what was to happen at its times is planned anew, and what is remembered moves with it."""
        offset = self.tools.clock.now() - steady
        jump, self._offset = offset - self._offset, offset
        if abs(jump) < JUMP_SECONDS:
            return
        log.warning("clock.jumped", extra={"seconds": round(jump, 1)})
        self._dirty.update(channel_id for _, _, channel_id in self._timers)
        self._timers.clear()
        for channel_id, memory in self.tools.memories.in_memory():
            memory.move_times(jump)
            self._dirty.add(channel_id)

    def _tree_of(self, desired: DesiredChannel) -> Callable[[Serving], Path]:
        return lambda serving: tree_of(self.tools.settings.paths, desired, serving)

    def _look_at(self, desired: DesiredChannel, memory: ChannelMemory) -> Actual:
        folder = self._tree_of(desired)
        trees = Trees(
            folder(Serving(desired.release, desired.mode)) if desired.release else None,
            folder(Serving(desired.canary.release, desired.mode)) if desired.canary else None,
        )
        rest = memory.rest(self.tools.clock.now(), self.tools.clock.steady())
        return actual_of(desired, memory, self.observed(desired.channel_id), trees, Known(rest, self.tools.connections))

    def _lock(self, channel_id: str) -> asyncio.Lock:
        """Held while a channel is planned and its steps are done: by a turn, or by somebody who wakes it."""
        lock = self._locks.get(channel_id)
        if lock is None:
            lock = self._locks[channel_id] = asyncio.Lock()
        return lock

    async def _converge(self, desired: DesiredChannel) -> None:
        channel_id = desired.channel_id
        lock = self._lock(channel_id)
        async with lock:
            if await self._round(desired):
                self.wake(channel_id)
            with contextlib.suppress(OSError):
                self.tools.memories.save(channel_id)
                if not self.observed(channel_id):
                    self.tools.memories.let_go(channel_id)

    async def _round(self, desired: DesiredChannel) -> bool:
        """Plan one channel and do it; whether there is at once something new to plan. Whatever fails becomes the channel's problem."""
        channel_id = desired.channel_id
        memory = self.tools.memories.of(channel_id)
        memory.settled = again = False
        if self.opening.is_new(channel_id):
            adopt_sleep(desired, memory)
        try:
            outcome = plan(desired, self._look_at(desired, memory), self.tools.clock.now(), self._tree_of(desired))
            for step in outcome.steps:
                await self.applier.do(desired, step)
                self._view.done(channel_id, step)
            self._say(desired, memory, outcome.problem)
            self._schedule(memory, channel_id, outcome.next_at)
            again = any(isinstance(step, steps.LOOK_AGAIN) for step in outcome.steps)
            memory.settled = not again and self._is_settled(desired, memory, outcome)
        except (SitewrightError, OSError) as error:
            log.warning("channel.trouble", extra={"channel": channel_id, "reason": str(error)})
            self._in_trouble(desired, memory, f"The node could not do what is needed: {error}")
        except Exception:
            log.exception("channel.trouble", extra={"channel": channel_id})
            self._in_trouble(desired, memory, "The node had an unexpected error with this site; its log has the details.")
        tell_wake(self.tools, desired, memory)
        for told in self.looked:
            told(channel_id)
        return again

    def _is_settled(self, desired: DesiredChannel, memory: ChannelMemory, outcome: steps.Plan) -> bool:
        """Whether there is nothing to do for the channel until something happens to it."""
        idle = outcome.next_at is None and not outcome.problem and not self.observed(desired.channel_id)
        return idle and memory.at_rest and memory.applied == desired.generation and memory.route is not None

    # --- waking ---
    async def rouse(self, channel_id: str, who: str) -> None:
        """Bring a sleeping channel back at once, without a turn over all the others. *who* waits for it, in words for the timeline."""
        steady = self.tools.clock.steady()
        await self.opening.first(channel_id)
        async with self._lock(channel_id):
            desired = self.store.get(channel_id)
            if desired is None:
                return
            memory = self.tools.memories.of(channel_id)
            memory.visited_at = steady
            if memory.sleep.stage is not SleepStage.AWAKE:
                memory.wake = memory.wake or Wake(steady, who)
                rounds = 0
                while await self._round(desired) and memory.wake is not None and rounds < MOST_ROUNDS:
                    rounds += 1
                await asyncio.sleep(0)  # whoever waits is told before it is written down
                with contextlib.suppress(OSError):
                    self.tools.memories.save(channel_id)
                if self.tools.memories.of(channel_id).wake is None:
                    asyncio.get_running_loop().call_later(SERVED_FIRST_SECONDS, self.wake, channel_id)
                    return
        self.wake(channel_id)

    def visit(self, channel_id: str) -> None:
        """Somebody is with the channel: a terminal, say. Nothing happens for one of which nothing runs."""
        memory = self.tools.memories.loaded(channel_id)
        if memory is not None:
            memory.visited_at = self.tools.clock.steady()

    def note_traffic(self, batch: Iterable[HostTraffic]) -> None:
        """Visitors were there: idle clocks begin anew. A channel of which nothing runs has none."""
        now, steady = self.tools.clock.now(), self.tools.clock.steady()
        for traffic in batch:
            channel_id = self.store.channel_of(traffic.host)
            memory = self.tools.memories.loaded(channel_id) if traffic.requests or traffic.slots else None
            if memory is None:
                continue
            if traffic.requests:
                memory.note_visit(now, steady, traffic.last_at)
            desired = self.store.get(channel_id) if memory.trial is not None else None
            trial_slots = desired.canary.slots if desired is not None and desired.canary is not None else 0
            if note_slots(memory, traffic.slots, trial_slots, now, steady):
                self.wake(channel_id)

    def _in_trouble(self, desired: DesiredChannel, memory: ChannelMemory, problem: str) -> None:
        memory.problem = memory.said = problem
        self._schedule(memory, desired.channel_id, self.tools.clock.now() + TROUBLE_SECONDS)

    def _schedule(self, memory: ChannelMemory, channel_id: str, at: float | None) -> None:
        """Keep one timer a channel, the earliest that is asked for."""
        now = self.tools.clock.now()
        pending = memory.next_at if memory.next_at is not None and memory.next_at > now else None
        if at is not None and (pending is None or at < pending):
            heapq.heappush(self._timers, (at, next(self._counter), channel_id))
            memory.next_at = at

    def _say(self, desired: DesiredChannel, memory: ChannelMemory, problem: str) -> None:
        """Keep the planner's words with the last lines of output beside them. Whoever asked for the change tells the timeline."""
        if problem != memory.said:
            memory.said = problem
            folder = self.tools.settings.paths.channel_logs(desired.site_id, desired.channel)
            memory.problem = in_full(problem, self.tools.logs, folder)

    def _used_folders(self, desired: DesiredChannel) -> frozenset[Path]:
        """Folders of the channel that must not be deleted: mounted by an instance, wanted, or served."""
        mounted = (mount.source for item in self.observed(desired.channel_id) for mount in item.spec.box.mounts)
        serving = self.tools.memories.of(desired.channel_id).serving
        return frozenset((*mounted, *(self._tree_of(desired)(each) for each in (*wanted_trees(desired), serving) if each is not None)))
