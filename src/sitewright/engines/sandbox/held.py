"""One instance as the engine holds it: its files, its processes, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
from dataclasses import dataclass, field

from sitewright.engines.base import EngineState, Exit, InstanceSpec, Observed, Stats
from sitewright.engines.sandbox.output import OutputReader
from sitewright.engines.sandbox.record import Folder, Record, save_exit, status_field
from sitewright.engines.sandbox.spawn import Process, children, name_of, start_ticks
from sitewright.system.cgroups import ControlGroups
from sitewright.system.scratch import unmount

_HAND_ON = frozenset({"sh", "dash", "bash", "npm", "npx", "yarn", "pnpm", "uv", "make"})
"""Programs that start others and do not pass TERM on to them reliably."""
_TREE_GONE_SECONDS = 10.0


@dataclass(slots=True)
class Held:
    """An instance and everything the engine has open for it."""

    record: Record
    folder: Folder
    process: Process
    relay: Process | None = None
    slirp: Process | None = None
    reader: OutputReader | None = None
    exit: Exit | None = None
    frozen: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once every process has ended and ``exit`` says how."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    watch: asyncio.Task[None] | None = None
    listener: socket.socket | None = None
    """Of one that adopts: the listening socket, while it is not known whether the app takes it. Requests wait in it."""
    _first: int = 0

    @property
    def spec(self) -> InstanceSpec:
        """What it was started from."""
        return self.record.spec

    @property
    def first(self) -> int:
        """Process 1 inside, as the host numbers it; 0 when it is not known."""
        if not self._first:
            self._first = status_field(self.folder, "child-pid") or 0
        return self._first

    def observed(self, *, memory_kills: int = 0) -> Observed:
        """As the contract wants it."""
        state = EngineState.FROZEN if self.frozen else EngineState.RUNNING
        if self.exit is not None:
            state = EngineState.EXITED
        pid = 0 if self.exit is not None else self.first
        return Observed(self.spec, state, self.record.started_at, self.exit, pid, memory_kills, self.record.adopting)

    def stats(self, groups: ControlGroups) -> Stats:
        """What it uses."""
        used, held_back = groups.usage(self.spec.id), groups.pressure(self.spec.id)
        return Stats(
            used.memory_bytes,
            used.cpu_seconds,
            used.pids,
            cpu_periods=held_back.periods,
            cpu_throttled=held_back.throttled,
            forks_refused=held_back.forks_refused,
            dropped_bytes=self.reader.dropped_bytes if self.reader is not None else 0,
        )

    def let_go(self) -> None:
        """Of the listening socket: it is the app's or the relay's alone, and refuses when they end."""
        if self.listener is not None:
            self.listener.close()
            self.listener = None

    def forget(self) -> None:
        """Let go of everything without ending it."""
        self.let_go()
        if self.watch is not None:
            self.watch.cancel()
        self.process.forget()
        for assistant in (self.relay, self.slirp):
            if assistant is not None:
                assistant.forget()
        if self.reader is not None:
            self.reader.close()


def main_processes(held: Held) -> tuple[int, ...]:
    """Whom TERM is for: the top processes inside, and below those that do not hand it on also their children. Not everybody: a server's
    own workers are ended by their master, in its own way. Not the holder of a warm start either: it ends when the server has."""
    found: list[int] = []
    app, ticks = held.record.app
    waiting = list(children(held.first)) if held.first and not app else []
    if app and start_ticks(app) == ticks:
        waiting = [app]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        if name_of(pid) in _HAND_ON:
            waiting += children(pid)
    return tuple(found)


def terminate(held: Held) -> bool:
    """Send TERM; False when nothing is there yet that could take it."""
    targets = main_processes(held)
    for pid in targets:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)
    return bool(targets)


async def end_tree(held: Held, groups: ControlGroups | None) -> None:
    """KILL every process of it and wait until none is left."""
    first = held.first
    if first:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if held.exit is None and not held.process.ended.is_set():
                os.kill(first, signal.SIGKILL)
    held.process.kill()
    if held.relay is not None:
        for pid in children(held.relay.pid) if not held.relay.ended.is_set() else ():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        held.relay.kill()
    if held.slirp is not None:
        held.slirp.kill()
    if groups is not None:
        await empty(groups, held.spec.id)
    await held.process.ended.wait()
    if held.relay is not None:
        await held.relay.ended.wait()


async def empty(groups: ControlGroups, name: str) -> None:
    """KILL until the group has no process left, or ten seconds have passed (a process stuck in the kernel)."""
    delay = 0.0005
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_TREE_GONE_SECONDS):
            groups.kill(name)
            while groups.pids(name):
                await asyncio.sleep(delay)
                delay = min(0.05, delay * 2)
                groups.kill(name)


async def clear(groups: ControlGroups | None, name: str, folder: Folder | None = None) -> None:
    """End what is in that group, and remove it and the *folder*."""
    if groups is not None:
        await empty(groups, name)
        groups.remove(name)
    if folder is not None:
        erase(folder)


def how_it_ended(held: Held, groups: ControlGroups | None) -> Exit:
    """From bubblewrap's status file, which also knows when nobody watched; else from the process itself."""
    code = status_field(held.folder, "exit-code")
    if code is None:
        code = held.process.code
    killed = groups is not None and groups.oom_kills(held.spec.id) > 0
    return Exit(code if code >= 0 or not killed else 137, out_of_memory=killed and code != 0)


async def watch(held: Held, groups: ControlGroups | None) -> None:
    """Until it ends: then end what is left of it, take its last words, and note how it was."""
    await held.process.ended.wait()
    held.let_go()
    end = how_it_ended(held, groups)
    await end_tree(held, groups)
    if held.reader is not None:
        held.reader.drain()
        held.reader.close()
    with contextlib.suppress(OSError):
        save_exit(held.folder, end)
    held.exit, held.frozen = end, False
    held.gone.set()


def erase(folder: Folder) -> None:
    """Remove its files."""
    unmount(folder.guest_root)
    shutil.rmtree(folder.path, ignore_errors=True)
