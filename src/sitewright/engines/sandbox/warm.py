"""Warm parents: processes that have imported a server and a framework, and give copies of themselves to sandboxes that begin.

A parent is root inside a confinement of its own: no network, the distribution's Python, packages that the platform pins by hash, nothing
of any tenant. Whatever goes wrong here, the instance is started in the ordinary way. docs/decisions/006 says what copies share.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sitewright.commands import bwrap
from sitewright.config.settings import Settings
from sitewright.engines.base import APP_DIRECTORY, DATA_DIRECTORY, InstanceSpec
from sitewright.engines.sandbox.families import Family, family_of
from sitewright.engines.sandbox.rootfs import INSIDE_UID, Base
from sitewright.engines.sandbox.spawn import Process, children, spawn
from sitewright.engines.sandbox.warm_packages import install_warm_packages
from sitewright.errors import EngineError
from sitewright.system.processes import Runner

log = logging.getLogger(__name__)

IDLE_SECONDS = 900.0
"""A parent that nobody has used for so long is ended."""
RENEW_SECONDS = 6 * 3600.0
"""Copies of one parent share the layout of their memory and the key of Python's hashes; so a parent does not live for ever."""
AGAIN_SECONDS = 900.0
"""After packages could not be installed, or a parent did not get warm, it is tried again, when it is missed."""
ANSWER_SECONDS = 5.0
WARM_UP_SECONDS = 60.0
SPARE_AFTER_SECONDS = 0.3
"""When the next copy is made ahead after one was used: the site that has just begun needs the processors first."""
COMPARED_SECONDS = 60.0
"""How long a copy may take to read the site's packages; it is not waited for."""
MOST_KNOWN = 20_000
"""Sites of which is remembered that their packages are the parent's."""
_CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SETUID", "CAP_SETGID")
_INSIDE = Path(__file__).with_name("inside")
_SHOWN = "/sitewright/inside"
_ENVIRONMENT = (
    ("PATH", "/usr/bin:/bin"),
    ("HOME", DATA_DIRECTORY),
    ("LANG", "C.UTF-8"),
    ("PORT", str(InstanceSpec.__dataclass_fields__["port"].default)),
    ("PYTHONUNBUFFERED", "1"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
)
"""What modules find that look at a variable while they are imported; an app with another value imports them anew."""


class WarmStartError(EngineError):
    """The warm start did not work out."""

    code = "warm_start_failed"


@dataclass(slots=True)
class Copy:
    """A copy of a parent that waits for its job. ``pid`` is its process on the host; it stays outside and attends the one inside."""

    pid: int
    control: socket.socket
    tree: str = ""
    """Where on the host the packages are that it compares."""
    same: str = ""
    """By what it sees that they were compared before."""
    _heard: bytearray = field(default_factory=bytearray)
    _said: dict[str, object] = field(default_factory=dict)

    def enter(self, place: Mapping[str, object], descriptors: tuple[int, ...]) -> None:
        """Tell it of the sandbox that it is to go into. Raises OSError."""
        text = json.dumps(place).encode()
        self.control.settimeout(ANSWER_SECONDS)
        socket.send_fds(self.control, [struct.pack("!I", len(text))], descriptors)
        self.control.sendall(text)

    async def become(self, job: Mapping[str, object]) -> None:
        """Give it the job, which the one inside hears once it is confined. Raises WarmStartError."""
        text = json.dumps({**job, "same": self.same}).encode()
        self.control.setblocking(False)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await asyncio.get_running_loop().sock_sendall(self.control, struct.pack("!I", len(text)) + text)
        except (OSError, TimeoutError) as error:
            raise WarmStartError("The warm start failed.", details=str(error)) from error

    @property
    def lives(self) -> bool:
        """Whether it still waits; else its number may be another process's by now."""
        try:
            return bool(self.control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False

    async def begun(self) -> int:
        """The process inside, once it is confined. Raises WarmStartError."""
        pid = await self._answer("app", ANSWER_SECONDS)
        if not isinstance(pid, int):
            raise WarmStartError("The warm start failed.", details=str(self._said.get("error", "no answer")))
        return pid

    async def made(self) -> None:
        """Until it exists and has said who it is. Raises WarmStartError."""
        pid = await self._answer("pid", ANSWER_SECONDS)
        if not isinstance(pid, int):
            raise WarmStartError("The warm parent gave no copy.")
        self.pid = pid

    async def compared(self) -> str:
        """By what the next start of the site sees that its packages are still the parent's; "" when they are not. Raises WarmStartError."""
        return str(await self._answer("same", COMPARED_SECONDS) or "")

    async def _answer(self, name: str, seconds: float) -> object:
        """What it says to that; None when it says that something failed, or is gone. Two processes speak here, in any order."""
        self.control.setblocking(False)
        try:
            async with asyncio.timeout(seconds):
                while name not in self._said and "error" not in self._said:
                    piece = await asyncio.get_running_loop().sock_recv(self.control, 4096)
                    if not piece:
                        return None
                    *lines, rest = (bytes(self._heard) + piece).split(b"\n")
                    self._heard[:] = rest
                    for line in lines:
                        self._said.update(json.loads(line))
        except (OSError, ValueError, TypeError, TimeoutError) as error:
            raise WarmStartError("The warm parent does not answer.", details=str(error)) from error
        return self._said.get(name)

    def close(self) -> None:
        """No more to say; before it has a job, that ends it."""
        self.control.close()


@dataclass(slots=True)
class Parent:
    """A running parent; ``ready`` once it has imported."""

    process: Process
    engine: socket.socket
    used_at: float
    began_at: float
    ready: bool = False
    spare: Copy | None = None
    """A copy made ahead, so that the next start need not wait for it. It holds what the parent holds."""

    def close(self) -> None:
        """Let it end."""
        if self.spare is not None:
            self.spare.close()
            self.spare = None
        self.engine.close()
        self.process.kill()
        self.process.forget()


@dataclass(slots=True)
class WarmParents:
    """All parents of one engine, at most one a family. ``packages`` is the folder of their virtual environment, None while there is none.

    Packages are installed and parents started when the first instance comes that could use them; that one is started in the ordinary way.
    """

    base: Base
    settings: Settings
    runner: Runner
    packages: Path | None = None
    _installing: asyncio.Task[None] | None = None
    _installed_at: float = 0.0
    _parents: dict[str, Parent] = field(default_factory=dict)
    _failed: dict[str, float] = field(default_factory=dict)
    """When the parent of a family has last ended before it was warm."""
    _warming: set[asyncio.Task[None]] = field(default_factory=set)
    _known: dict[str, str] = field(default_factory=dict)
    """Where a site's packages are → by what its next copy sees that they have not changed since they were compared."""

    async def _install(self) -> None:
        self.packages = await install_warm_packages(self.settings, self.runner)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._warming.add(task)
        task.add_done_callback(self._warming.discard)

    async def copy(self, spec: InstanceSpec) -> Copy | None:
        """A copy for that instance; None when there is none to be had at once, and it is to be started in the ordinary way."""
        family = family_of(spec)
        parent = self._parent(family) if family is not None else None
        if family is None or parent is None or not parent.ready:
            return None
        parent.used_at = asyncio.get_running_loop().time()
        copy, parent.spare = parent.spare, None
        if copy is not None and not copy.lives:
            copy.close()
            copy = None
        try:
            copy = copy or await self._copy(parent)
        except (OSError, WarmStartError) as error:
            log.warning("warm_parent_failed", extra={"family": family.name, "error": str(error)})
            self._end(family.name)
            return None
        self._keep(asyncio.get_running_loop().create_task(self._make_spare(parent), name="warm-spare"))
        copy.tree = next((str(mount.source) for mount in spec.box.mounts if mount.target == APP_DIRECTORY), "")
        self.remind(copy)
        return copy

    def remind(self, copy: Copy) -> None:
        """Tell it what is known of its packages now."""
        copy.same = self._known.get(copy.tree, "")

    async def _copy(self, parent: Parent) -> Copy:
        """Raises OSError, WarmStartError."""
        ours, theirs = socket.socketpair()
        copy = Copy(0, ours)
        try:
            with theirs:
                parent.engine.setblocking(False)
                socket.send_fds(parent.engine, [b"copy"], [theirs.fileno()])
            await copy.made()
        except BaseException:
            ours.close()
            raise
        return copy

    async def _make_spare(self, parent: Parent, delay: float = SPARE_AFTER_SECONDS) -> None:
        await asyncio.sleep(delay)
        if parent.spare is not None or parent not in self._parents.values():
            return
        try:
            made = await self._copy(parent)
        except (OSError, WarmStartError):
            return  # the next start asks for one itself, and hears of it
        if parent.spare is not None or parent not in self._parents.values():
            made.close()
            return
        parent.spare = made

    def learn(self, copy: Copy) -> None:
        """The copy is a site's now: hear what it found, and let go of it."""
        task = asyncio.get_running_loop().create_task(self._learn(copy), name="warm-compared")
        task.add_done_callback(lambda _: copy.close())
        self._keep(task)

    async def _learn(self, copy: Copy) -> None:
        try:
            found = await copy.compared()
        except WarmStartError:
            found = ""
        self._known.pop(copy.tree, None)
        if found:
            self._known[copy.tree] = found
        while len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]

    def spares(self) -> tuple[int, ...]:
        """The processes that are made ahead, as the host numbers them."""
        return tuple(parent.spare.pid for parent in self._parents.values() if parent.spare is not None)

    @property
    def known(self) -> frozenset[str]:
        """Where on the host packages are that need not be read again while nobody changes them."""
        return frozenset(self._known)

    def pids(self) -> tuple[int, ...]:
        """The processes of all parents, as the host numbers them; copies are none of them."""
        return tuple(pid for parent in self._parents.values() for pid in (*children(parent.process.pid), parent.process.pid))

    async def warmed(self, spec: InstanceSpec, seconds: float = WARM_UP_SECONDS) -> bool:
        """Wait until there is a parent for such an instance; False when there is none in that time."""
        family = family_of(spec)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while family is not None:
                    parent = self._parent(family)
                    if parent is not None and parent.ready:
                        return True
                    await asyncio.sleep(0.01)
        return False

    def _parent(self, family: Family) -> Parent | None:
        now = asyncio.get_running_loop().time()
        if self.packages is None:
            if self._installing is None or (self._installing.done() and now - self._installed_at > AGAIN_SECONDS):
                self._installed_at = now
                self._installing = asyncio.get_running_loop().create_task(self._install(), name="warm-packages")
                self._keep(self._installing)
            return None
        if now - self._failed.get(family.name, -AGAIN_SECONDS) < AGAIN_SECONDS:
            return None
        found = self._parents.get(family.name)
        if found is not None and (found.process.ended.is_set() or now - found.began_at > RENEW_SECONDS):
            self._end(family.name)
            found = None
        if found is None:
            found = self._parents[family.name] = self._begin(family, now)
        return found

    def _begin(self, family: Family, now: float) -> Parent:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        nothing = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        try:
            pid = spawn(self._argv(), {0: nothing, 1: nothing, 2: nothing, 3: theirs.fileno()})
        finally:
            os.close(nothing)
            theirs.close()
        parent = Parent(Process.started(pid), ours, now, now)
        self._keep(asyncio.get_running_loop().create_task(self._warm_up(parent, family), name=f"warm-{family.name}"))
        return parent

    async def _warm_up(self, parent: Parent, family: Family) -> None:
        loop = asyncio.get_running_loop()
        parent.engine.setblocking(False)
        try:
            parent.engine.send(json.dumps({"modules": family.modules, "user": INSIDE_UID}).encode())
            async with asyncio.timeout(WARM_UP_SECONDS):
                parent.ready = bool(await loop.sock_recv(parent.engine, 65536))
            if parent.ready:
                await self._make_spare(parent, delay=0.0)
            while parent.ready and not parent.process.ended.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(IDLE_SECONDS / 10):
                        await parent.process.ended.wait()
                if loop.time() - parent.used_at > IDLE_SECONDS:
                    break
        except (OSError, TimeoutError) as error:
            log.warning("warm_parent_failed", extra={"family": family.name, "error": str(error)})
        if not parent.ready:
            self._failed[family.name] = loop.time()
        if self._parents.get(family.name) is parent:
            self._end(family.name)

    def _argv(self) -> tuple[str, ...]:
        shown = [*bwrap.bind("/usr", "/usr")]
        for target, link in self.base.links:
            shown += ("--symlink", target, link)
        for folder in self.base.folders:
            shown += bwrap.bind(folder, folder)
        shown += bwrap.bind(str(self.base.etc), "/etc")
        for name in self.base.bound:
            shown += bwrap.bind(f"/etc/{name}", f"/etc/{name}")
        shown += ("--dev", "/dev", "--perms", "0755", "--dir", APP_DIRECTORY)
        shown += (*bwrap.bind(str(self.packages), f"{APP_DIRECTORY}/.venv"), *bwrap.bind(str(_INSIDE), _SHOWN), *bwrap.sealed())
        kept = [part for name in _CAPABILITIES for part in ("--cap-add", name)]
        spaces = ("--unshare-ipc", "--unshare-uts", "--unshare-net", "--hostname", "warm", "--new-session", "--cap-drop", "ALL", *kept)
        options = (*spaces, *shown, *bwrap.environment(_ENVIRONMENT), "--chdir", APP_DIRECTORY)
        return (bwrap.BWRAP, *options, "--", f"{APP_DIRECTORY}/.venv/bin/python", f"{_SHOWN}/parent.py")

    def _end(self, name: str) -> None:
        parent = self._parents.pop(name, None)
        if parent is not None:
            parent.close()

    async def close(self) -> None:
        """End all parents; copies that run go on."""
        for name in tuple(self._parents):
            self._end(name)
        tasks = tuple(self._warming)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def place(spec: InstanceSpec, program: bytes, open_files: int, *, ahead: bool) -> dict[str, object]:
    """What a copy must know of the sandbox."""
    return {
        "workdir": spec.box.workdir,
        "uid": spec.box.uid,
        "inside_uid": INSIDE_UID,
        "open_files": open_files,
        "filter": program.hex(),
        "ahead": ahead,
    }


def job(spec: InstanceSpec, env: tuple[tuple[str, str], ...]) -> dict[str, object]:
    """What the process inside must know to become the server."""
    return {
        "argv": spec.warm,
        "command": spec.box.command,
        "env": {**dict(env), "PWD": spec.box.workdir},
        "workdir": spec.box.workdir,
    }
