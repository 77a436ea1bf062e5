"""A real door with a real bus, real OpenSSH clients, a manager that knows a few keys, and a node that runs commands as it is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from sitewright.bus.client import NatsBus
from sitewright.bus.messages import Ack, DoorGrant, DoorKey, DoorOpen, DoorPerson, DoorService, ExecOpen, Message
from sitewright.bus.streams import StreamLostError, near_end
from sitewright.bus.subjects import DOOR, door, door_session, rpc
from sitewright.config.settings import Settings
from sitewright.errors import ConflictError, NotFoundError
from sitewright.ssh.door import Door
from sitewright.ssh.host_keys import ensure_host_key
from sitewright.testing.nats_server import NatsServer, running_nats

NODE = "node1"


@dataclass(frozen=True, slots=True)
class Done:
    """How a program ended."""

    code: int
    out: bytes
    err: str


@dataclass
class DoorLab:
    """Everything around one door. ``asked`` is what it has asked its manager to open."""

    folder: Path
    server: NatsServer
    door: Door
    manager: NatsBus
    node: NatsBus
    port: int
    asked: list[DoorOpen] = field(default_factory=list)
    keys: dict[str, DoorPerson] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def key(self, name: str, *, known: bool = True, kind: str = "ssh-ed25519") -> Path:
        """A new key in a file; with *known* the manager knows it as `NAME@example.org`."""
        path = self.folder / f"key-{name}"
        key = asyncssh.generate_private_key(kind)
        key.write_private_key(path)
        path.chmod(0o600)
        if known:
            self.keys[key.get_fingerprint()] = DoorPerson(user_id=name, email=f"{name}@example.org", key_label="laptop")
        return path

    def options(self, key: Path, *more: str) -> list[str]:
        """For ssh, scp and sftp."""
        fixed = ("BatchMode=yes", "StrictHostKeyChecking=no", f"UserKnownHostsFile={self.folder}/known", "IdentitiesOnly=yes", *more)
        return ["-F", "none", "-i", str(key), *[word for option in (*fixed, f"Port={self.port}") for word in ("-o", option)]]

    async def run(self, *argv: str, stdin: bytes = b"", seconds: float = 30.0, env: dict[str, str] | None = None) -> Done:
        """A program of this machine, to its end."""
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **(env or {})},
            cwd=self.folder,
        )
        try:
            async with asyncio.timeout(seconds):
                out, err = await process.communicate(stdin)
        except TimeoutError:
            process.kill()
            raise
        assert process.returncode is not None
        return Done(process.returncode, out, err.decode(errors="replace"))

    async def ssh(self, who: str, *command: str, key: Path, stdin: bytes = b"", options: tuple[str, ...] = ()) -> Done:
        """`ssh WHO@door COMMAND`."""
        return await self.run("ssh", *self.options(key), *options, f"{who}@127.0.0.1", *command, stdin=stdin)

    # The manager

    async def whose(self, asked: DoorKey) -> Message:
        """As the manager answers."""
        if asked.fingerprint not in self.keys:
            raise NotFoundError("This key is nobody's.")
        if asked.used:
            self.used.append(asked.fingerprint)
        return self.keys[asked.fingerprint]

    async def open(self, asked: DoorOpen) -> Message:
        """Every site but `secret` and `released` is open to everybody."""
        self.asked.append(asked)
        if asked.site == "secret":
            raise NotFoundError("There is no site “secret”, or it is not yours to see.")
        if asked.site == "released" and asked.service is DoorService.FILES:
            raise ConflictError("“production” of “released” runs releases.", resolution="Push with git.")
        argv = asked.argv or (("cat",) if asked.port or asked.service is DoorService.SHELL else self._git(asked))
        question = ExecOpen(session=door_session(DOOR, asked.session), channel_id=asked.site, argv=argv, port=asked.port)
        await self.manager.request(rpc(NODE, "exec.open"), question, Ack, 10)
        return DoorGrant(node=NODE)

    def _git(self, asked: DoorOpen) -> tuple[str, ...]:
        name = "receive-pack" if asked.service is DoorService.GIT_WRITE else "upload-pack"
        return ("git", name, str(self.folder / f"{asked.site}.git"))

    # The node

    async def execute(self, asked: ExecOpen) -> Message:
        """Run it here, in the site's folder."""
        stream = await near_end(self.node, NODE, asked.session)
        folder = self.folder / asked.channel_id
        folder.mkdir(exist_ok=True)
        process = await asyncio.create_subprocess_exec(
            *asked.argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=folder,
            start_new_session=True,
        )
        assert process.stdin
        assert process.stdout
        assert process.stderr

        def kill() -> None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

        stream.killed = kill
        sink, out, err = process.stdin, process.stdout, process.stderr

        async def feed() -> None:
            with contextlib.suppress(StreamLostError, ConnectionError):
                async for data in stream:
                    sink.write(data)
                    await sink.drain()
                sink.close()

        async def serve() -> None:
            feeding = asyncio.create_task(feed())
            with contextlib.suppress(StreamLostError):
                while data := await out.read(65536):
                    await stream.write(data)
                while data := await err.read(65536):
                    await stream.write_error(data)
            code = await process.wait()
            feeding.cancel()
            await stream.exit(code if code >= 0 else 128 - code)
            await stream.close()

        task = asyncio.create_task(serve())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return Ack()


async def until(bus: NatsBus) -> None:
    """Wait until it is connected."""
    async with asyncio.timeout(10):
        while not bus.connected:  # noqa: ASYNC110 - a deadline is all that is wanted
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def door_lab(folder: Path) -> AsyncIterator[DoorLab]:
    """A door for as long as the block lasts."""
    with running_nats(folder) as server:
        settings: Settings = server.settings
        ensure_host_key(settings.paths)
        buses = [server.bus(DOOR), server.bus(), server.bus(NODE)]
        for bus in buses:
            await until(bus)
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        made = Door(settings, buses[0])
        lab = DoorLab(folder, server, made, buses[1], buses[2], port)
        await buses[1].serve(door(DOOR, "key"), DoorKey, lab.whose)
        await buses[1].serve(door(DOOR, "open"), DoorOpen, lab.open)
        await buses[2].serve(rpc(NODE, "exec.open"), ExecOpen, lab.execute)
        await made.open(listener)
        try:
            yield lab
        finally:
            await made.close(0.0)
            for task in list(lab.tasks):
                task.cancel()
            await asyncio.gather(*lab.tasks, return_exceptions=True)
            for bus in buses:
                await bus.close()
