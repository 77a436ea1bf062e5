"""Real git clients against a node's repositories: over the bus's memory twin, on the real sandbox engine, with a manager that tests play.

A client runs `git` on this machine; its SSH command is a small program that carries bytes to this process over a unix socket, where a
door hands them to the bus as the real one does.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import shutil
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from sitewright.bus.memory import MemoryBus, MemoryHub
from sitewright.bus.messages import (
    METHODS,
    Ack,
    GitOpen,
    GitService,
    OperationFollow,
    OperationNews,
    PushAsked,
    PushVerdict,
    RefMove,
    RefVerdict,
)
from sitewright.bus.streams import far_end
from sitewright.bus.subjects import node_topic, rpc
from sitewright.config.settings import Settings
from sitewright.domain.git import PushAction
from sitewright.domain.identity import new_id
from sitewright.engines.sandbox import SandboxEngine
from sitewright.errors import SitewrightError
from sitewright.repository.service import Repositories
from sitewright.system.clock import SystemClock
from sitewright.system.ownership import make_folder
from sitewright.system.processes import SystemRunner
from sitewright.testing.sandbox_lab import install_tools

ALICE_SITE = "asite2222222"
GIT_CONFIG = "[user]\nname = Alice\nemail = alice@example.org\n[safe]\ndirectory = *\n[protocol]\nversion = 2\n"
CLIENT = """
import os, socket, sys, threading
link = socket.socket(socket.AF_UNIX); link.connect(sys.argv[1])
link.sendall((" ".join(sys.argv[2:]) + "\\n").encode())
def push():
    while data := os.read(0, 65536): link.sendall(data)
    link.shutdown(socket.SHUT_WR)
threading.Thread(target=push, daemon=True).start()
code, stream = 255, link.makefile("rb")
while head := stream.read(5):
    kind, size = head[:1], int.from_bytes(head[1:], "big")
    if kind == b"x": code = size; break
    data = stream.read(size)
    os.write(2, data) if kind == b"e" else sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
os._exit(code & 255)
"""


@dataclass
class Git:
    """How a client's command ended."""

    code: int
    output: str

    @property
    def ok(self) -> bool:
        return self.code == 0


@dataclass
class PlayedManager:
    """Decides as the test says. Branches in ``deployed`` are deployed: ``lines`` are shown, then it ends as ``fails`` says."""

    lab: GitLab
    deployed: set[str] = field(default_factory=lambda: {"refs/heads/main"})
    refused: dict[str, str] = field(default_factory=dict)
    lines: tuple[str, ...] = ("Building …", "\x1b[32mLive.\x1b[0m")
    fails: str = ""
    asked: list[PushAsked] = field(default_factory=list)
    operations: dict[str, tuple[PushAsked, RefVerdict]] = field(default_factory=dict)
    before_end: Callable[[str], Awaitable[None]] | None = None

    async def push(self, asked: PushAsked) -> PushVerdict:
        self.asked.append(asked)
        return PushVerdict(verdicts=tuple(self._judge(asked, update.name) for update in asked.updates))

    def _judge(self, asked: PushAsked, name: str) -> RefVerdict:
        if name in self.refused:
            return RefVerdict(name=name, action=PushAction.REFUSE, reason=self.refused[name])
        update = next(one for one in asked.updates if one.name == name)
        if name not in self.deployed or not update.new:
            return RefVerdict(name=name, action=PushAction.STORE)
        verdict = RefVerdict(name=name, action=PushAction.DEPLOY, operation=new_id(), told=("Deploying.",))
        self.operations[verdict.operation] = (asked, verdict)
        return verdict

    async def follow(self, question: OperationFollow) -> OperationNews:
        if not question.cursor:
            return OperationNews(lines=self.lines, cursor="1")
        if self.before_end is not None:
            await self.before_end(question.operation)
        if self.fails:
            return OperationNews(cursor="2", ended=True, problem=self.fails)
        asked, verdict = self.operations[question.operation]
        update = next(one for one in asked.updates if one.name == verdict.name)
        request = RefMove(site_id=asked.site_id, number=self.lab.number, updates=(update,))
        await self.lab.bus.request(rpc(self.lab.settings.node, "git.move"), request, Ack)
        return OperationNews(cursor="2", ended=True, ok=True)


@dataclass
class GitLab:
    """A node's repositories with an engine, a bus, a played manager, and a folder for clients."""

    settings: Settings
    engine: SandboxEngine
    hub: MemoryHub
    bus: MemoryBus
    repositories: Repositories
    folder: Path
    number: int = 1
    site: str = ALICE_SITE
    manager: PlayedManager = field(init=False)
    sinks: list[Callable[[str, bytes], None]] = field(default_factory=list)
    """Told of what jobs write."""

    def __post_init__(self) -> None:
        self.manager = PlayedManager(self)

    @property
    def repository(self) -> Path:
        return self.settings.paths.repository(self.site)

    @property
    def address(self) -> str:
        return f"ssh://git@door/{self.site}"

    async def git(self, *arguments: str, cwd: Path | None = None, **env: str) -> Git:
        """Run a client."""
        variables = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder),
            "GIT_SSH_COMMAND": f"{sys.executable} -I -S {self.folder}/client.py {self.folder}/door",
            "GIT_SSH_VARIANT": "simple",
            "GIT_CONFIG_GLOBAL": str(self.folder / "gitconfig"),
            "GIT_TERMINAL_PROMPT": "0",
            **env,
        }
        process = await asyncio.create_subprocess_exec(
            "git", *arguments, cwd=cwd or self.folder, env=variables, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), 240)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return Git(process.returncode or 0, output.decode(errors="replace"))

    async def work_tree(self, name: str = "alice", **files: str | bytes) -> Path:
        """A fresh clone-to-be with one commit of *files* on main, whose origin is the site."""
        folder = self.folder / name
        folder.mkdir()
        assert (await self.git("init", "-q", "-b", "main", cwd=folder)).ok
        await self.git("remote", "add", "origin", self.address, cwd=folder)
        await self.commit(folder, files or {"index.html": "<h1>one</h1>\n"})
        return folder

    async def commit(self, folder: Path, files: dict[str, str | bytes], message: str = "A change") -> str:
        """Write *files*, commit all, and return the commit."""
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        assert (await self.git("add", "-A", "-f", cwd=folder)).ok
        done = await self.git("commit", "-q", "--allow-empty", "-m", message, cwd=folder)
        assert done.ok, done.output
        return (await self.git("rev-parse", "HEAD", cwd=folder)).output.strip()

    async def refs(self) -> dict[str, str]:
        """The repository's references, hidden ones too, as git outside sees them (tests may look)."""
        done = await self.git("--git-dir", str(self.repository), "for-each-ref", "--format=%(refname) %(objectname)")
        return dict(line.split(" ") for line in done.output.splitlines()) if done.ok else {}

    async def door(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What the SSH door does, in small."""
        words = shlex.split((await reader.readline()).decode())
        command = next(word for word in words if word.startswith("git-"))
        protocol = next((word.partition("=")[2] for word in words if word.startswith("GIT_PROTOCOL=")), "version=2")
        session = new_id()
        stream = await far_end(self.bus, self.settings.node, session)
        tasks: list[asyncio.Task[None]] = []
        try:
            request = GitOpen(
                session=session,
                site_id=self.site,
                site_name="alice",
                number=self.number,
                service=GitService(command.removeprefix("git-")),
                user_id="user22222222",
                who="alice@example.org",
                protocol=protocol,
            )
            await self.bus.request(rpc(self.settings.node, "git.open"), request, Ack, timeout=20)
            loop = asyncio.get_running_loop()
            tasks.append(loop.create_task(_inwards(reader, stream.write, stream.close_input)))
            await asyncio.gather(_outwards(b"o", stream.read, writer), _outwards(b"e", stream.read_error, writer))
            writer.write(b"x" + (await stream.wait() & 255).to_bytes(4, "big"))
        except SitewrightError as error:
            text = f"{error}\n".encode()
            writer.write(b"e" + len(text).to_bytes(4, "big") + text + b"x" + (128).to_bytes(4, "big"))
        except OSError:
            pass
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await stream.close()
            with contextlib.suppress(OSError):
                writer.close()


async def _inwards(reader: asyncio.StreamReader, write: Callable[[bytes], Awaitable[None]], end: Callable[[], Awaitable[None]]) -> None:
    while data := await reader.read(256 * 1024):
        await write(data)
    await end()


async def _outwards(kind: bytes, read: Callable[[], Awaitable[bytes]], writer: asyncio.StreamWriter) -> None:
    while data := await read():
        writer.write(kind + len(data).to_bytes(4, "big") + data)
        await writer.drain()


@contextlib.asynccontextmanager
async def git_lab(**settings: object) -> AsyncIterator[GitLab]:
    """A lab; afterwards nothing of it is left on the machine."""
    install_tools()
    home = Path(tempfile.mkdtemp(prefix="swg-"))
    make_folder(home, 0o711)
    folder = Path(tempfile.mkdtemp(prefix="swg-client-"))
    (folder / "client.py").write_text(CLIENT)
    (folder / "client.py").chmod(stat.S_IRWXU)
    (folder / "gitconfig").write_text(GIT_CONFIG)
    values = Settings.model_validate({"home": home, "git_file_urls": True, "warm_start": False, **settings})
    engine = SandboxEngine(values, SystemRunner(), SystemClock())
    hub = MemoryHub()
    node, outside = MemoryBus(hub), MemoryBus(hub)
    sinks: list[Callable[[str, bytes], None]] = []

    def hear(job: str, data: bytes) -> None:
        for sink in sinks:
            sink(job, data)

    await engine.open(hear)
    repositories = Repositories(values, engine, node, SystemClock())
    await repositories.open()
    lab = GitLab(values, engine, hub, outside, repositories, folder, sinks=sinks)
    for method, handler in repositories.handlers().items():
        await node.serve(rpc(values.node, method), METHODS[method][0], handler)
    await outside.serve(node_topic("*", "push"), PushAsked, lab.manager.push)
    await outside.serve(node_topic("*", "follow"), OperationFollow, lab.manager.follow)
    server = await asyncio.start_unix_server(lab.door, str(folder / "door"))
    try:
        yield lab
    finally:
        server.close()
        await repositories.close()
        await node.close()
        await outside.close()
        await engine.dismantle()
        for path in (values.paths.run, home, folder):
            shutil.rmtree(path, ignore_errors=True)
