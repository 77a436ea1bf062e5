"""A node's orchestrator, wake server and routes on the real sandbox, without bus, builder or nginx. Needs root."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from sitewright.config.settings import Settings
from sitewright.domain.desired import DesiredChannel
from sitewright.orchestrator.apply import Tools
from sitewright.orchestrator.connections import SocketConnections
from sitewright.orchestrator.daemon import Orchestrator
from sitewright.orchestrator.desired import DesiredStore
from sitewright.orchestrator.events import EventSpool
from sitewright.orchestrator.health import EngineProber
from sitewright.orchestrator.logs import LogStore
from sitewright.orchestrator.memory import MemoryStore
from sitewright.orchestrator.wake import WakeServer
from sitewright.router.table import RouteTable
from sitewright.system.accounts import tenant_uid
from sitewright.system.clock import SystemClock
from sitewright.system.processes import SystemRunner
from sitewright.testing.engine_lab import until
from sitewright.testing.sandbox_lab import SandboxLab, sandbox_lab

ANSWERS = """
import os, socket, time
while os.path.exists("wait"):
    time.sleep(0.05)
if os.environ.get("BROKEN"):
    raise SystemExit("KeyError: 'DATABASE'")
listener = socket.socket(fileno=3)
while True:
    visitor, _ = listener.accept()
    if visitor.recv(65536):
        visitor.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok")
    visitor.close()
"""
"""An app that answers on the descriptor it is given, which is the quickest that Python can do."""


@dataclass
class NodeLab:
    """One node. ``orchestrator`` goes round in the background."""

    sandbox: SandboxLab
    orchestrator: Orchestrator
    waker: WakeServer
    loop: asyncio.Task[None]

    @property
    def settings(self) -> Settings:
        """Where everything is."""
        return self.sandbox.settings

    async def stage(self, desired: DesiredChannel) -> str:
        """How deep it sleeps."""
        return (await self.orchestrator.actual(desired.channel_id)).sleep

    def tree(self, desired: DesiredChannel) -> Path:
        """The folder that it runs from. While a file `wait` is in it, the app does not come up."""
        assert desired.release is not None
        return self.settings.paths.release(desired.site_id, desired.channel, desired.release.number)

    async def reaches(self, desired: DesiredChannel, stage: str, seconds: float = 20.0) -> None:
        """Wait until it sleeps that deep."""

        async def there() -> bool:
            actual = await self.orchestrator.actual(desired.channel_id)
            route = self.orchestrator.tools.memories.of(desired.channel_id).route
            awake = stage != "awake" or (route is not None and bool(route.sockets) and actual.applied == desired.generation)
            gone = stage != "stopped" or not self.orchestrator.observed(desired.channel_id)
            return actual.sleep == stage and awake and gone

        await until(there, f"{desired.site_name} is {stage}", seconds)

    async def ask(self, host: str, patience: str = "client") -> int:
        """What the router asks; the status of the answer."""
        reader, writer = await asyncio.open_unix_connection(str(self.settings.paths.wake_socket))
        writer.write(f"GET / HTTP/1.0\r\nX-Sitewright-Host: {host}\r\nX-Sitewright-Patience: {patience}\r\n\r\n".encode())
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return int(line.split()[1]) if line else 0

    async def visit(self, desired: DesiredChannel) -> bytes:
        """What the app answers at its slot, as nginx would ask it."""
        slot = self.settings.paths.routes / desired.hosts[0] / "0"
        reader, writer = await asyncio.open_unix_connection(str(slot.resolve()))
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer

    async def restart(self) -> None:
        """The node process ends and another begins; the instances go on."""
        await self._end()
        await self.sandbox.reopen()
        await self._begin()

    async def _begin(self) -> None:
        self.orchestrator, self.waker = await _begin(self.sandbox)
        self.loop = asyncio.create_task(self.orchestrator.run())

    async def _end(self) -> None:
        self.loop.cancel()
        await asyncio.gather(self.loop, return_exceptions=True)
        await self.waker.close()
        await self.orchestrator.close()


async def _begin(sandbox: SandboxLab) -> tuple[Orchestrator, WakeServer]:
    settings, engine, clock = sandbox.settings, sandbox.engine, SystemClock()
    settings.paths.home.chmod(0o711)
    for folder in (settings.paths.node, settings.paths.sites):
        folder.mkdir(parents=True, exist_ok=True)

    async def ensure_tree(desired: DesiredChannel) -> None:
        assert desired.release is not None
        folder = settings.paths.release(desired.site_id, desired.channel, desired.release.number)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "app.py").write_text(ANSWERS)
        uid = tenant_uid(settings.uid_base, desired.number)
        for path in (folder, folder / "app.py"):
            os.chown(path, uid, uid)
        _open_way(settings.paths.home, folder)

    events, logs = EventSpool(settings.paths.events, clock), LogStore(clock)
    sandbox.listener = logs.feed
    tools = Tools(
        settings=settings,
        engine=engine,
        routes=RouteTable(settings.paths),
        clock=clock,
        runner=SystemRunner(),
        prober=EngineProber(engine),
        ensure_tree=ensure_tree,
        logs=logs,
        events=events,
        memories=MemoryStore(settings.paths.remembered),
        connections=SocketConnections(clock),
    )
    events.load()
    orchestrator = Orchestrator(tools, DesiredStore(settings.paths.desired))
    await orchestrator.open()
    waker = WakeServer(orchestrator)
    await waker.open()
    settings.paths.routes_complete.touch()
    return orchestrator, waker


def _open_way(home: Path, folder: Path) -> None:
    for path in folder.parents:
        if path == home:
            return
        path.chmod(0o755)


@contextlib.asynccontextmanager
async def node_lab() -> AsyncIterator[NodeLab]:
    """A node of which nothing is left afterwards."""
    async with sandbox_lab() as sandbox:
        orchestrator, waker = await _begin(sandbox)
        lab = NodeLab(sandbox, orchestrator, waker, asyncio.create_task(orchestrator.run()))
        try:
            yield lab
        finally:
            await lab._end()
