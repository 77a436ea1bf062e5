"""A job whose input and output are pipes in our hands: git's protocol, an answer that is read whole.

Its control group counts among the sites', not among the builds': somebody waits at the other end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os

from sitewright.engines.base import Exit, JobSpec, TerminalSize
from sitewright.engines.mounts import check_mounts
from sitewright.engines.sandbox.held import empty
from sitewright.engines.sandbox.jobs import options
from sitewright.engines.sandbox.launch import Ground, launch
from sitewright.engines.sandbox.network import NetworkPool
from sitewright.engines.sandbox.output import make_pipe_wide
from sitewright.engines.sandbox.spawn import Process
from sitewright.engines.sandbox.userland import Barrier, connect, wanted
from sitewright.errors import EngineError

_READ = 64 * 1024
GROUP_PREFIX = "c-"


class _End:
    """Our end of one pipe. Whoever waits for it is let go when it is closed."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._waiting: asyncio.Future[None] | None = None

    async def read(self) -> bytes:
        """The next piece; b"" at the end."""
        while self._descriptor >= 0:
            try:
                data = os.read(self._descriptor, _READ)
            except BlockingIOError:
                await self._until_ready(writing=False)
                continue
            if data:
                return data
            self.close()
        return b""

    async def write(self, data: bytes) -> None:
        """All of it, as long as somebody can read it."""
        view = memoryview(data)
        while view and self._descriptor >= 0:
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:
                await self._until_ready(writing=True)
            except OSError:
                return

    async def _until_ready(self, *, writing: bool) -> None:
        loop, descriptor = asyncio.get_running_loop(), self._descriptor
        self._waiting = ready = loop.create_future()
        (loop.add_writer if writing else loop.add_reader)(descriptor, self._wake)
        try:
            await ready
        finally:
            self._waiting = None
            if self._descriptor == descriptor:
                (loop.remove_writer if writing else loop.remove_reader)(descriptor)

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def close(self) -> None:
        """Safe to call twice."""
        if self._descriptor >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._descriptor)
            loop.remove_writer(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
            self._wake()


class SandboxConversation:
    """See ``Conversation``. Made by ``open_conversation``."""

    def __init__(self, process: Process, pipes: _Pipes, ground: Ground, group: str, assistants: _Assistants) -> None:
        self._process = process
        self._output, self._error, self._input = _End(pipes.output), _End(pipes.error), _End(pipes.input)
        self._ground = ground
        self._group = group
        self._assistants = assistants
        self._end = asyncio.get_running_loop().create_task(self._watch(), name=f"conversation-{group}")

    async def _watch(self) -> Exit:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._assistants.seconds):
                await self._process.ended.wait()
        self._process.kill()
        groups = self._ground.groups
        killed = False
        if groups is not None:
            killed = groups.oom_kills(self._group) > 0
            await empty(groups, self._group)
        await self._process.ended.wait()
        if groups is not None:
            with contextlib.suppress(OSError):
                groups.remove(self._group)
        self._input.close()
        await self._assistants.dismiss()
        code = self._process.code if self._process.code >= 0 else 137
        return Exit(code, out_of_memory=killed and code != 0)

    async def read(self) -> bytes:
        """The next output, up to 64 KiB; b"" once it has ended and all was read."""
        data = await self._output.read()
        return data or await self._nothing()

    async def read_error(self) -> bytes:
        """The next of its standard error."""
        data = await self._error.read()
        return data or await self._nothing()

    async def _nothing(self) -> bytes:
        await asyncio.shield(self._end)
        return b""

    async def write(self, data: bytes) -> None:
        """Give it input; b"" closes its input. What comes after its end is dropped."""
        if data:
            await self._input.write(data)
        else:
            self._input.close()

    async def resize(self, size: TerminalSize) -> None:
        """It has no terminal."""

    async def wait(self) -> Exit:
        """Wait until it has ended, with everything it started."""
        return await asyncio.shield(self._end)

    async def kill(self) -> None:
        """End it and everything it started, at once."""
        self._process.kill()
        await asyncio.shield(self._end)
        self._output.close()
        self._error.close()


class _Pipes:
    """Our ends, and the job's."""

    def __init__(self) -> None:
        self.output, self._its_output = os.pipe()
        self.error, self._its_error = os.pipe()
        self._its_input, self.input = os.pipe()
        make_pipe_wide(self.output)
        make_pipe_wide(self.input)

    def inside(self) -> dict[int, int]:
        """Its descriptors 0, 1, 2."""
        return {0: self._its_input, 1: self._its_output, 2: self._its_error}

    def close_inside(self) -> None:
        """Of the job's ends, once it has them."""
        for descriptor in (self._its_input, self._its_output, self._its_error):
            os.close(descriptor)

    def close(self) -> None:
        """Of ours, when nothing came of it."""
        for descriptor in (self.output, self.error, self.input):
            os.close(descriptor)


class _Assistants:
    """What a conversation holds besides its process: time, a network, an ordinary user's relay."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.pool: NetworkPool | None = None
        self.link = -1
        self.slirp: Process | None = None

    async def take(self, pool: NetworkPool | None) -> str:
        """A network's namespace; "" for none."""
        if pool is None:
            return ""
        link = await pool.take()
        self.pool, self.link = pool, link.index
        return link.path

    async def dismiss(self) -> None:
        """Give everything back."""
        if self.slirp is not None:
            self.slirp.kill()
        if self.pool is not None:
            await self.pool.give_back(self.link)


async def open_conversation(ground: Ground, job: JobSpec, pool: NetworkPool | None) -> SandboxConversation:
    """Start it. Raises EngineError; then nothing of it is left."""
    check_mounts(job.box)
    group = f"{GROUP_PREFIX}{job.id}"
    assistants = _Assistants(job.timeout_seconds)
    namespace = await assistants.take(pool)
    pipes = _Pipes()
    process: Process | None = None
    try:
        barrier = Barrier.make() if wanted(ground, job.box) else None
        process = _start(ground, job, namespace, barrier, pipes.inside())
        if barrier is not None:
            try:
                assistants.slirp = Process.started(await connect(ground, process.pid))
                barrier.lift()
            finally:
                barrier.close()
    except BaseException as error:
        pipes.close_inside()
        pipes.close()
        await asyncio.shield(_undo(ground, group, process, assistants))
        if isinstance(error, OSError):
            raise EngineError("The job could not be started.", details=str(error), resolution="It is tried again.") from error
        raise
    pipes.close_inside()
    return SandboxConversation(process, pipes, ground, group, assistants)


def _start(ground: Ground, job: JobSpec, namespace: str, barrier: Barrier | None, streams: dict[int, int]) -> Process:
    group = f"{GROUP_PREFIX}{job.id}"
    if ground.groups is not None:
        ground.groups.create(group, job.box.limits)
    descriptors = {**streams, **(barrier.descriptors() if barrier else {})}
    launched = launch(ground, job.box, namespace, ("/bin/sh", "-c", job.box.command), descriptors)
    process = Process.started(launched.pid)
    try:
        if ground.groups is not None:
            ground.groups.add(group, launched.pid)
        launched.release(options(ground, job, network=bool(namespace), barrier=barrier))
    except BaseException:
        launched.abandon()
        process.kill()
        raise
    return process


async def _undo(ground: Ground, group: str, process: Process | None, assistants: _Assistants) -> None:
    if process is not None:
        process.kill()
    if ground.groups is not None:
        await empty(ground.groups, group)
        with contextlib.suppress(OSError):
            ground.groups.remove(group)
    await assistants.dismiss()
