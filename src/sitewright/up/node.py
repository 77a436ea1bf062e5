"""The node process: engine, builder, orchestrator and routing table of one machine in one event loop.

It is put together here and nowhere else. It works with the bus and the manager down; `python -m sitewright.up.node` runs it until TERM
or INT, and leaves every instance running.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sitewright.builder.collect import Needs
from sitewright.builder.service import Builder
from sitewright.bus.base import Bus
from sitewright.bus.client import Credentials, NatsBus
from sitewright.bus.messages import BuildQuery, BuildRequest, BuildStatus, Message
from sitewright.bus.server import load_credentials
from sitewright.bus.subjects import node_topic
from sitewright.config.settings import Settings, load_settings
from sitewright.domain.desired import DesiredChannel
from sitewright.domain.states import BuildState
from sitewright.engines.base import Engine
from sitewright.errors import SitewrightError, UnavailableError
from sitewright.orchestrator.apply import Tools
from sitewright.orchestrator.connections import SocketConnections
from sitewright.orchestrator.daemon import Orchestrator
from sitewright.orchestrator.desired import DesiredStore
from sitewright.orchestrator.disk import DiskGuard
from sitewright.orchestrator.events import EventSpool
from sitewright.orchestrator.files import LiveFiles
from sitewright.orchestrator.health import EngineProber
from sitewright.orchestrator.heartbeat import Reporter
from sitewright.orchestrator.limits import LimitWatch
from sitewright.orchestrator.logs import LogStore
from sitewright.orchestrator.memory import MemoryStore
from sitewright.orchestrator.service import Handlers, NodeService, serve
from sitewright.orchestrator.streams import ExecSessions
from sitewright.orchestrator.wake import WakeServer
from sitewright.repository.service import Repositories
from sitewright.router.follow import TrafficFollower
from sitewright.router.table import RouteTable
from sitewright.system.clock import SystemClock
from sitewright.system.log import configure_logging
from sitewright.system.processes import SystemRunner
from sitewright.system.readiness import say_ready

log = logging.getLogger(__name__)

COLLECT_SECONDS = 1800.0


def make_engine(settings: Settings) -> Engine:
    """The engine that the settings name; Docker's client is only loaded when it is that one."""
    if settings.engine == "docker":
        from sitewright.engines.docker.engine import DockerEngine  # noqa: PLC0415

        return DockerEngine(settings, SystemClock(), SystemRunner())
    from sitewright.engines.sandbox.engine import SandboxEngine  # noqa: PLC0415

    return SandboxEngine(settings, SystemRunner(), SystemClock())


def node_bus(settings: Settings) -> NatsBus:
    """The node's connection to the bus; it keeps trying while there is none, or nobody has prepared one."""

    def credentials() -> Credentials:
        try:
            return load_credentials(settings.paths, settings.node)
        except UnavailableError as error:
            raise ConnectionError(str(error)) from error

    return NatsBus(credentials)


@dataclass(frozen=True, slots=True)
class Node:
    """The parts of a running node."""

    settings: Settings
    engine: Engine
    builder: Builder
    orchestrator: Orchestrator
    limits: LimitWatch
    reporter: Reporter
    sessions: ExecSessions
    files: LiveFiles
    repositories: Repositories
    bus: Bus
    waker: WakeServer


def _feeder(logs: LogStore, builder: Builder) -> Callable[[str, bytes], None]:
    """Output goes to the channel's log when it is an instance's, else to the build whose job it is."""

    def feed(job_id: str, data: bytes) -> None:
        if logs.knows(job_id):
            logs.feed(job_id, data)
        else:
            builder.feed(job_id, data)

    return feed


async def compose(settings: Settings, engine: Engine, bus: Bus) -> Node:
    """Open everything, in the order in which nothing is missed: engine, routes, then builds."""
    clock, runner = SystemClock(), SystemRunner()
    logs = LogStore(clock)
    events = EventSpool(settings.paths.events, clock)
    events.load()

    running: set[str] = set()

    async def tell(status: BuildStatus) -> None:
        (running.add if status.state is BuildState.RUNNING else running.discard)(status.build_id)
        reporter.builds_running = len(running)
        with contextlib.suppress(UnavailableError):
            await bus.publish(node_topic(settings.node, "build"), status)

    builder = Builder(settings, engine, clock, runner, tell)

    async def ensure_tree(desired: DesiredChannel) -> None:
        await builder.ensure_release(desired)

    info = await engine.open(_feeder(logs, builder))
    for capability in info.capabilities:
        if not capability.ok:
            log.warning("engine.weaker", extra={"capability": capability.name, "note": capability.note})
    routes = RouteTable(settings.paths)
    tools = Tools(
        settings=settings,
        engine=engine,
        routes=routes,
        clock=clock,
        runner=runner,
        prober=EngineProber(engine),
        ensure_tree=ensure_tree,
        logs=logs,
        events=events,
        memories=MemoryStore(settings.paths.remembered),
        connections=SocketConnections(clock),
    )
    orchestrator = Orchestrator(tools, DesiredStore(settings.paths.desired))
    reporter = Reporter(bus, orchestrator, events, info.name)
    await orchestrator.load()
    waker = WakeServer(orchestrator)
    # Visitors need not wait until ten thousand routes are made: nginx asks here for the one it lacks.
    await waker.open()
    await orchestrator.open()
    routes.complete()
    repositories = Repositories(settings, engine, bus, clock)
    await repositories.open()
    builder.commit_tree = repositories.folders.commit_tree
    await builder.open()
    limits, sessions = LimitWatch(orchestrator), ExecSessions(bus, orchestrator)
    return Node(settings, engine, builder, orchestrator, limits, reporter, sessions, LiveFiles(settings), repositories, bus, waker)


def handlers(node: Node) -> Handlers:
    """Everything that a node answers on the bus."""

    async def start(request: BuildRequest) -> Message:
        return await node.builder.start(request)

    async def status(query: BuildQuery) -> Message:
        return await node.builder.status(query.build_id)

    async def cancel(query: BuildQuery) -> Message:
        return await node.builder.cancel(query.build_id)

    async def artefacts(query: BuildQuery) -> Message:
        return await node.builder.artefacts(query.build_id)

    builds: Handlers = {
        "build.start": start,
        "build.status": status,
        "build.cancel": cancel,
        "build.artefacts": artefacts,
        "build.search": node.builder.search,
        "cache.report": node.builder.caches,
    }
    service = NodeService(node.orchestrator, node.reporter, node.sessions, node.files, node.builder)
    asked = {**service.handlers(), **node.repositories.handlers()}
    return {**asked, **builds}


async def close(node: Node) -> None:
    """Let go of everything; instances and unfinished work stay and are taken up again."""
    await node.waker.close()
    await node.sessions.close()
    await node.repositories.close()
    await node.builder.close()
    await node.orchestrator.close()
    node.orchestrator.tools.logs.flush()
    node.files.close()
    await node.engine.close()
    await node.bus.close()


async def collect(node: Node) -> int:
    """Delete droplets that nobody can come back to; their number. Nothing goes while this node may know less than the manager."""
    if not node.orchestrator.agreed:
        return 0
    return await node.builder.collect(Needs(*await node.orchestrator.needs()))


async def _collect_for_ever(node: Node) -> None:
    while True:
        await asyncio.sleep(COLLECT_SECONDS)
        with contextlib.suppress(OSError):
            gone = await collect(node)
            if gone:
                log.info("droplets.collected", extra={"count": gone})


async def _until_stopped(node: Node, stop: asyncio.Event) -> None:
    """Run the loops until *stop*; one that ends by itself ends the process, so that the supervisor starts it anew."""
    listening = await serve(node.bus, node.settings.node, handlers(node))
    say_ready()
    guard, traffic = DiskGuard(node.orchestrator), TrafficFollower(node.settings.paths)
    takers = (node.orchestrator.note_traffic, node.limits.note_traffic)
    work: list[Awaitable[object]] = [node.orchestrator.run(), node.reporter.run(), guard.run(), node.limits.run()]
    work += [traffic.run(takers), node.repositories.run(), stop.wait()]
    tasks = [asyncio.ensure_future(item) for item in work]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    # From now on whoever asks waits for the next node; who has asked is answered by this one.
    await asyncio.gather(*(one.close() for one in listening))
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome


async def run(settings: Settings) -> None:
    """The whole life of the node process."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    bus = node_bus(settings)
    engine = make_engine(settings)
    try:
        node = await compose(settings, engine, bus)
    except BaseException:
        # What the engine does in the background would keep this process from ending, and so from being started anew.
        await engine.close()
        raise
    bus.open()
    gc.collect()
    gc.freeze()
    log.info("node.started", extra={"node": settings.node, "pid": os.getpid()})
    try:
        await _until_stopped(node, stop)
    finally:
        await close(node)
        log.info("node.stopped")


def main() -> None:
    """`python -m sitewright.up.node`."""
    try:
        settings = load_settings()
        configure_logging(settings.log_level)
        os.umask(0o022)
        asyncio.run(run(settings))
    except SitewrightError as error:
        log.error("node.failed", extra={"reason": str(error)})
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
