"""A job whose input and output are streams in our hands, in a container of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from sitewright.engines.base import Exit, TerminalSize
from sitewright.engines.docker.daemon import Daemon, DaemonError
from sitewright.engines.docker.logs import HEADER_BYTES
from sitewright.engines.docker.views import exit_of

_STANDARD_ERROR = 2
_MOST_WAITING = 16
"""Frames (of at most 32 KiB) that are kept until somebody reads them."""
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class DockerConversation:
    """See ``Conversation``. Made by ``open_conversation``."""

    def __init__(self, daemon: Daemon, container: str, connection: Connection, seconds: float, free: Callable[[], Awaitable[None]]) -> None:
        self._daemon = daemon
        self._container = container
        self._reader, self._writer = connection
        self._free = free
        self._output: asyncio.Queue[bytes] = asyncio.Queue(_MOST_WAITING)
        self._error: asyncio.Queue[bytes] = asyncio.Queue(_MOST_WAITING)
        self._sorting = asyncio.create_task(self._sort(), name=f"conversation-{container[:12]}-output")
        # Not closed but cut: what was written and not read would keep it, and whoever writes, for ever.
        self._sorting.add_done_callback(lambda _: self._writer.transport.abort())
        self._end = asyncio.create_task(self._watch(seconds), name=f"conversation-{container[:12]}")

    async def _sort(self) -> None:
        """The daemon's frames, each to its queue; an empty one at the end of both."""
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, OSError):
                while True:
                    header = await self._reader.readexactly(HEADER_BYTES)
                    data = await self._reader.readexactly(int.from_bytes(header[4:], "big"))
                    if data:
                        await (self._error if header[0] == _STANDARD_ERROR else self._output).put(data)
        finally:
            for queue in (self._output, self._error):
                with contextlib.suppress(asyncio.QueueFull):
                    queue.put_nowait(b"")

    async def _watch(self, seconds: float) -> Exit:
        path = f"containers/{self._container}"
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._daemon.ask("POST", f"{path}/wait", timeout=None)
            await self._daemon.ask_leniently("POST", f"{path}/kill")
            await self._daemon.ask("POST", f"{path}/wait")
            state = (await self._daemon.ask("GET", f"{path}/json"))["State"]
            return exit_of(state)
        except DaemonError:
            return Exit(-1)
        finally:
            with contextlib.suppress(DaemonError):
                await self._daemon.ask_leniently("DELETE", path, params={"force": "1", "v": "1"})
            await self._free()

    async def read(self) -> bytes:
        """The next output; b"" once it has ended and all was read."""
        return await self._next(self._output)

    async def read_error(self) -> bytes:
        """The next of its standard error."""
        return await self._next(self._error)

    async def _next(self, queue: asyncio.Queue[bytes]) -> bytes:
        while queue.empty() and not self._sorting.done():
            waiting = asyncio.ensure_future(queue.get())
            try:
                await asyncio.wait({waiting, self._sorting}, return_when=asyncio.FIRST_COMPLETED)
                if waiting.done() and waiting.result():
                    return waiting.result()
            finally:
                waiting.cancel()
        data = b"" if queue.empty() else queue.get_nowait()
        if not data:
            await asyncio.shield(self._end)
        return data

    async def write(self, data: bytes) -> None:
        """Give it input; b"" closes its input. What comes after its end is dropped."""
        with contextlib.suppress(OSError, RuntimeError):
            if data:
                self._writer.write(data)
                await self._writer.drain()
            elif self._writer.can_write_eof():
                self._writer.write_eof()

    async def resize(self, size: TerminalSize) -> None:
        """It has no terminal."""

    async def wait(self) -> Exit:
        """Wait until it has ended and its container is gone."""
        return await asyncio.shield(self._end)

    async def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(DaemonError):
            await self._daemon.ask_leniently("POST", f"containers/{self._container}/kill")
        await asyncio.shield(self._end)
        self._sorting.cancel()


async def open_conversation(daemon: Daemon, container: str, seconds: float, free: Callable[[], Awaitable[None]]) -> DockerConversation:
    """Start *container*, which was made to take input. *free* is called when it is gone. Raises DaemonError."""
    try:
        connection = await daemon.hijack(f"containers/{container}/attach?stream=1&stdin=1&stdout=1&stderr=1", {})
        await daemon.ask("POST", f"containers/{container}/start")
    except BaseException:
        with contextlib.suppress(DaemonError):
            await asyncio.shield(daemon.ask_leniently("DELETE", f"containers/{container}", params={"force": "1", "v": "1"}))
        await free()
        raise
    return DockerConversation(daemon, container, connection, seconds, free)
