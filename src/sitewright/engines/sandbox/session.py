"""A command beside a running instance: same files, network, processes and limits, same system call filter.

nsenter joins the namespaces, and a second bubblewrap waits there for its options until it is in a part of the instance's control group;
then it drops what nsenter still had. Its user namespace is a new one, so that what it is before the filter is loaded cannot be traced
from within.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import struct
import termios
from collections.abc import Callable
from dataclasses import dataclass

from sitewright.commands import bwrap, nsenter
from sitewright.engines.base import Exit, TerminalSize
from sitewright.engines.sandbox.held import Held, empty
from sitewright.engines.sandbox.launch import Ground, confined, launch_beside
from sitewright.engines.sandbox.rootfs import INSIDE_UID, environment
from sitewright.engines.sandbox.spawn import Process, children
from sitewright.engines.sandbox.starting import encoded, variables
from sitewright.errors import EngineError

_READ = 64 * 1024
_JOIN_SECONDS = 10.0
_END_OF_INPUT = b"\x04"


def options(ground: Ground, held: Held, terminal: TerminalSize | None) -> bytes:
    """The second bubblewrap's options: everything stays where it is, less privilege."""
    shown = environment(ground.base, held.spec.box, variables(held.spec))
    if terminal is not None:
        shown = (*shown, ("TERM", "xterm-256color"))
    return encoded(
        (
            *("--unshare-user", "--uid", str(INSIDE_UID), "--gid", str(INSIDE_UID)),
            *("--dev-bind", "/", "/", "--die-with-parent", "--chdir", held.spec.box.workdir),
            *bwrap.environment(item for item in shown if item[0] != "LISTEN_FDS"),
            *confined(ground, status=False),
        )
    )


@dataclass(frozen=True, slots=True)
class Wiring:
    """How a command is connected: to a terminal of that size, or to pipes. ``apart``: with one of its own for standard error."""

    terminal: TerminalSize | None = None
    apart: bool = False


@dataclass(slots=True)
class _Ends:
    """Our ends. A terminal is one descriptor for both; -1 is closed, or never was there."""

    output: int
    input: int
    error: int = -1


class SandboxSession:
    """Input and output of a command that runs in an instance."""

    def __init__(self, process: Process, ends: _Ends, ground: Ground, group: str) -> None:
        self._process = process
        self._ends = ends
        self._ground = ground
        self._group = group
        self._terminal = ends.output == ends.input
        self._end = asyncio.get_running_loop().create_task(self._watch(), name=f"exec-{group}")

    async def _watch(self) -> Exit:
        await self._process.ended.wait()
        if self._ground.groups is not None:
            await empty(self._ground.groups, self._group)
            with contextlib.suppress(OSError):
                self._ground.groups.remove(self._group)
        return Exit(self._process.code if self._process.code >= 0 else 137)

    async def read(self) -> bytes:
        """The next output, up to 64 KiB; b"" once it has ended and all was read."""
        data = await self._read(lambda: self._ends.output)
        if not data:
            self._close(self._ends.output)
        return data

    async def read_error(self) -> bytes:
        """The next of its standard error; b"" once it has ended, or at once when that is part of the output."""
        data = await self._read(lambda: self._ends.error)
        if not data:
            self._close(self._ends.error)
        return data

    async def _read(self, end: Callable[[], int]) -> bytes:
        """From that end, which may be closed meanwhile; b"" when it is, and when nobody writes any more and all has ended."""
        while end() >= 0:
            try:
                data = os.read(end(), _READ)
            except BlockingIOError:
                await _ready(end(), writing=False)
                continue
            except OSError as error:
                if error.errno != errno.EIO:  # what a terminal says when its last user has gone
                    raise
                data = b""
            if not data:
                await asyncio.shield(self._end)
            return data
        return b""

    async def write(self, data: bytes) -> None:
        """Give it input; b"" closes its input."""
        if self._ends.input < 0:
            return
        if not data:
            if not self._terminal:
                self._close(self._ends.input)
                return
            data = _END_OF_INPUT
        view = memoryview(data)
        while view and self._ends.input >= 0 and not self._process.ended.is_set():
            try:
                view = view[os.write(self._ends.input, view) :]
            except BlockingIOError:
                await _ready(self._ends.input, writing=True)
            except OSError:
                return

    async def resize(self, size: TerminalSize) -> None:
        """Tell it the terminal's new size; nothing happens without a terminal."""
        if self._terminal and self._ends.output >= 0:
            set_size(self._ends.output, size)

    async def wait(self) -> Exit:
        """Wait until it has ended, with everything it started."""
        return await asyncio.shield(self._end)

    async def kill(self) -> None:
        """End it and everything it started, at once."""
        self._process.kill()
        if self._ground.groups is not None:
            await empty(self._ground.groups, self._group)
        await asyncio.shield(self._end)
        self._close(self._ends.output)
        self._close(self._ends.error)

    def _close(self, descriptor: int) -> None:
        """Close that end, whatever it is for; with the output the input goes, for nobody is there."""
        ends = self._ends
        closing = {descriptor, ends.input} if descriptor == ends.output else {descriptor}
        for one in closing - {-1}:
            loop = asyncio.get_running_loop()
            loop.remove_reader(one)
            loop.remove_writer(one)
            os.close(one)
            for name in ("output", "input", "error"):
                if getattr(ends, name) == one:
                    setattr(ends, name, -1)


async def _ready(descriptor: int, *, writing: bool) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    (loop.add_writer if writing else loop.add_reader)(descriptor, wake)
    try:
        await ready
    finally:
        (loop.remove_writer if writing else loop.remove_reader)(descriptor)


def set_size(descriptor: int, size: TerminalSize) -> None:
    """Set a terminal's size; its foreground processes get SIGWINCH."""
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", size.rows, size.columns, 0, 0))


async def open_session(ground: Ground, held: Held, number: int, argv: tuple[str, ...], wiring: Wiring) -> SandboxSession:
    """Start *argv* beside *held*. Raises EngineError."""
    terminal = wiring.terminal
    await _inhabited(held)
    group = f"{held.spec.id}/x{number}"
    ours: list[int] = []
    theirs: list[int] = []
    try:
        ends, streams = _streams(wiring, ours, theirs)
        launched = launch_beside(ground, held.spec.box, held.first, nsenter.with_terminal(argv) if terminal else argv, streams)
        process = Process.started(launched.pid)
        try:
            await _confine(ground, group, process)
            launched.release(options(ground, held, terminal))
        except BaseException:
            launched.abandon()
            process.kill()
            raise
    except BaseException as error:
        for descriptor in ours:
            os.close(descriptor)
        if isinstance(error, OSError):
            raise EngineError("The command could not be started.", details=str(error), resolution="Try again.") from error
        raise
    finally:
        for descriptor in theirs:
            os.close(descriptor)
    return SandboxSession(process, ends, ground, group)


async def _inhabited(held: Held) -> None:
    """Wait until the instance's own command runs: before that its file system is not made."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_JOIN_SECONDS):
            while not (held.first and children(held.first)) and not held.process.ended.is_set():  # noqa: ASYNC110 - the kernel tells nobody
                await asyncio.sleep(0.002)


async def _confine(ground: Ground, group: str, process: Process) -> None:
    """Wait until nsenter has joined the namespaces, where bubblewrap then waits for its options, and put both under the limits."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_JOIN_SECONDS):
            while not (inside := children(process.pid)):
                if process.ended.is_set():
                    break
                await asyncio.sleep(0.001)
            if inside and ground.groups is not None:
                ground.groups.make(group)
                for pid in (process.pid, *inside):
                    ground.groups.add(group, pid)
            if inside:
                return
    raise EngineError("The instance could not be entered.", details="It has probably just ended.", resolution="Try again.")


def _streams(wiring: Wiring, ours: list[int], theirs: list[int]) -> tuple[_Ends, dict[int, int]]:
    """Our ends, and its descriptors 0, 1, 2."""
    if wiring.terminal is not None:
        master, slave = os.openpty()
        ours.append(master)
        theirs.append(slave)
        set_size(master, wiring.terminal)
        os.set_blocking(master, False)
        return _Ends(master, master), {0: slave, 1: slave, 2: slave}
    from_it, its_output = os.pipe()
    its_input, to_it = os.pipe()
    ours += [from_it, to_it]
    theirs += [its_output, its_input]
    ends, its_error = _Ends(from_it, to_it), its_output
    if wiring.apart:
        ends.error, its_error = os.pipe()
        ours.append(ends.error)
        theirs.append(its_error)
    for descriptor in ours:
        os.set_blocking(descriptor, False)
    return ends, {0: its_input, 1: its_output, 2: its_error}
