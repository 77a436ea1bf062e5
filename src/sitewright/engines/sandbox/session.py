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


class SandboxSession:
    """Input and output of a command that runs in an instance."""

    def __init__(self, process: Process, streams: tuple[int, int], ground: Ground, group: str) -> None:
        self._process = process
        self._output, self._input = output, source = streams
        self._ground = ground
        self._group = group
        self._terminal = output == source
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
        while self._output >= 0:
            try:
                data = os.read(self._output, _READ)
            except BlockingIOError:
                await _ready(self._output, writing=False)
                continue
            except OSError as error:
                if error.errno != errno.EIO:  # what a terminal says when its last user has gone
                    raise
                data = b""
            if data:
                return data
            await asyncio.shield(self._end)
            self._close()
        return b""

    async def write(self, data: bytes) -> None:
        """Give it input; b"" closes its input."""
        if self._input < 0:
            return
        if not data:
            if not self._terminal:
                os.close(self._input)
                self._input = -1
                return
            data = _END_OF_INPUT
        view = memoryview(data)
        while view and self._input >= 0 and not self._process.ended.is_set():
            try:
                view = view[os.write(self._input, view) :]
            except BlockingIOError:
                await _ready(self._input, writing=True)
            except OSError:
                return

    async def resize(self, size: TerminalSize) -> None:
        """Tell it the terminal's new size; nothing happens without a terminal."""
        if self._terminal and self._output >= 0:
            set_size(self._output, size)

    async def wait(self) -> Exit:
        """Wait until it has ended, with everything it started."""
        return await asyncio.shield(self._end)

    async def kill(self) -> None:
        """End it and everything it started, at once."""
        self._process.kill()
        if self._ground.groups is not None:
            await empty(self._ground.groups, self._group)
        await asyncio.shield(self._end)
        self._close()

    def _close(self) -> None:
        for descriptor in {self._output, self._input} - {-1}:
            loop = asyncio.get_running_loop()
            loop.remove_reader(descriptor)
            loop.remove_writer(descriptor)
            os.close(descriptor)
        self._output = self._input = -1


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


async def open_session(ground: Ground, held: Held, number: int, argv: tuple[str, ...], terminal: TerminalSize | None) -> SandboxSession:
    """Start *argv* beside *held*. Raises EngineError."""
    await _inhabited(held)
    group = f"{held.spec.id}/x{number}"
    ours: list[int] = []
    theirs: list[int] = []
    try:
        output, source, streams = _streams(terminal, ours, theirs)
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
    return SandboxSession(process, (output, source), ground, group)


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


def _streams(terminal: TerminalSize | None, ours: list[int], theirs: list[int]) -> tuple[int, int, dict[int, int]]:
    """Ours to read and to write (the same for a terminal), and its descriptors 0, 1, 2."""
    if terminal is not None:
        master, slave = os.openpty()
        ours.append(master)
        theirs.append(slave)
        set_size(master, terminal)
        os.set_blocking(master, False)
        return master, master, {0: slave, 1: slave, 2: slave}
    from_it, its_output = os.pipe()
    its_input, to_it = os.pipe()
    ours += [from_it, to_it]
    theirs += [its_output, its_input]
    os.set_blocking(from_it, False)
    os.set_blocking(to_it, False)
    return from_it, to_it, {0: its_input, 1: its_output, 2: its_output}
