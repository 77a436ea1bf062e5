"""An orchestrator on a machine that is all memory: real planner, store and loop; fake engine, routes and clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from sitewright.config.settings import Settings
from sitewright.domain.desired import DesiredChannel
from sitewright.domain.processes import Listen, ProcessScale, ProcessSpec
from sitewright.domain.release import Blueprint, Release
from sitewright.domain.route import ChannelRoute
from sitewright.engines.memory import MemoryEngine, World
from sitewright.errors import EngineError
from sitewright.orchestrator.apply import Tools
from sitewright.orchestrator.daemon import Orchestrator
from sitewright.orchestrator.desired import DesiredStore
from sitewright.orchestrator.events import EventSpool
from sitewright.orchestrator.logs import LogStore
from sitewright.orchestrator.memory import MemoryStore
from sitewright.orchestrator.model import Instance
from sitewright.orchestrator.specs import tree_of
from sitewright.orchestrator.steps import Step
from sitewright.system.clock import FakeClock
from sitewright.system.processes import SystemRunner

SITE_ID = "asite2222222"
CHANNEL_ID = "achanne22222"


def release(number: int, *processes: ProcessSpec, static_root: str | None = None) -> Release:
    """A release with these processes; one web process that speaks HTTP on a descriptor when none is named and nothing is static."""
    if not processes and static_root is None:
        processes = (ProcessSpec("web", "serve", Listen.FD),)
    return Release(f"release{number}", number, "", Blueprint("python", "host", tuple(processes), static_root))


def channel(generation: int, wanted: Release | None, *scale: ProcessScale, site: str = "guestbook") -> DesiredChannel:
    """Alice's guestbook in production."""
    return DesiredChannel(
        SITE_ID, site, 7, CHANNEL_ID, "production", generation, release=wanted, scale=tuple(scale), hosts=(f"{site}.localhost",)
    )


class MemoryRoutes:
    """A routing table in memory, which outlives the orchestrator as the real one does."""

    def __init__(self) -> None:
        self.table: dict[str, ChannelRoute] = {}
        self.history: list[ChannelRoute] = []

    def set(self, route: ChannelRoute) -> None:
        """Serve it."""
        self.table[route.channel_id] = route
        self.history.append(route)

    def remove(self, channel_id: str) -> None:
        """Forget it."""
        self.table.pop(channel_id, None)

    def channels(self) -> frozenset[str]:
        """Who is served."""
        return frozenset(self.table)


class Machine:
    """What outlives the orchestrator: disk, engine's world, routes, clock. ``boot`` starts (another) orchestrator on it."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home, run=home / "run")
        self.clock = FakeClock()
        self.world = World()
        self.routes = MemoryRoutes()
        self.deaf: set[str] = set()
        """Release ids whose processes never answer."""
        self.connected: dict[str, int] = {}
        """Instance id → how many visitors are connected to it."""
        self.no_trees: set[str] = set()
        """Release ids whose files cannot be put in place."""
        self.on_step: Callable[[Step], None] = lambda _: None
        """Told each step before it is done."""
        self.engine = MemoryEngine(self.clock, self.world)
        self.orchestrator: Orchestrator

    async def _answers(self, instance: Instance, _host: str) -> bool:
        return instance.release_id not in self.deaf and await self.engine.listening(instance.id)

    async def _ensure_tree(self, desired: DesiredChannel) -> None:
        assert desired.release is not None
        if desired.release.id in self.no_trees:
            raise EngineError("The droplet is gone.")
        from sitewright.orchestrator.model import Serving  # noqa: PLC0415

        tree_of(self.settings.paths, desired, Serving(desired.release, desired.mode)).mkdir(parents=True, exist_ok=True)

    async def boot(self) -> None:
        """Start an orchestrator on what is there."""
        paths = self.settings.paths
        self.engine = MemoryEngine(self.clock, self.world)
        logs = LogStore(self.clock)
        events = EventSpool(paths.events, self.clock)
        events.load()
        tools = Tools(
            settings=self.settings,
            engine=self.engine,
            routes=self.routes,
            clock=self.clock,
            runner=SystemRunner(),
            prober=self._answers,
            ensure_tree=self._ensure_tree,
            logs=logs,
            events=events,
            memories=MemoryStore(paths.remembered),
            connections=lambda instance: self.connected.get(instance.id, 0),
        )
        await self.engine.open(logs.feed)
        self.orchestrator = Orchestrator(tools, DesiredStore(paths.desired))
        done = self.orchestrator.applier.do

        async def do(desired: DesiredChannel, step: Step) -> None:
            self.on_step(step)
            await done(desired, step)

        self.orchestrator.applier.do = do  # type: ignore[method-assign]
        await self.orchestrator.open()

    async def kill(self) -> None:
        """The orchestrator is gone, as with kill -9: nothing is told to anybody, what was in the background is cut off."""
        await self.orchestrator.close()
        self.orchestrator.tools.logs.flush()

    async def put(self, desired: DesiredChannel) -> None:
        """The manager says what it wants."""
        await self.orchestrator.put(desired)

    async def turn(self, seconds: float = 0.0) -> None:
        """Let time pass, then one turn of the loop and all that it began."""
        self.clock.advance(seconds)
        await asyncio.sleep(0)
        await self.orchestrator.turn()
        async with asyncio.timeout(10):
            while self.orchestrator.applier.busy:  # noqa: ASYNC110 – what goes on wakes nobody but the loop under test
                await asyncio.sleep(0)

    async def settle(self, seconds: float = 60.0, step: float = 0.5) -> None:
        """Let that much time pass, turn by turn."""
        for _ in range(int(seconds / step)):
            await self.turn(step)

    def instances(self, process: str = "web") -> Sequence[str]:
        """Ids of the running instances."""
        return [i for i, held in sorted(self.world.held.items()) if held.exit is None and held.spec.process == process]

    def routed(self) -> int:
        """How many sockets visitors of the channel can reach."""
        route = self.routes.table.get(CHANNEL_ID)
        return len(set(route.sockets)) if route else 0


def scaled(desired: DesiredChannel, count: int) -> DesiredChannel:
    """The same with that many web processes, as the next generation."""
    return replace(desired, generation=desired.generation + 1, scale=(ProcessScale("web", count),))
