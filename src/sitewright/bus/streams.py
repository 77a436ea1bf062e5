"""Streams of bytes over the bus: a push, a terminal, a file on its way. Two ends, one session.

The *far* end (the door, the manager) listens before it asks a node to open something; the *near* end is the node, where it runs.

    far = await far_end(bus, node, session)             near = await near_end(bus, node, session)
    await bus.request(…, GitOpen(session=session, …))   while data := await near.read(): …
    await far.write(b"…"); await far.close_input()      await near.write(b"…"); await near.write_error(b"…")
    async for data in far: …                            await near.exit(0)
    code = await far.wait()                             await near.close()

Delivery on the bus is at most once, so messages of a metered stream are numbered: one that is missing ends the stream with an error, and
nobody takes half of something for the whole. A sender waits while more than 4 MiB of its bytes were not read on the other side. Each end
sends a ping every 10 s and takes 30 s of silence for the other's death.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Literal, Self

from sitewright.bus.base import Bus, Subscription
from sitewright.bus.messages.streams import StreamChunk
from sitewright.bus.subjects import stream_in, stream_out
from sitewright.errors import SitewrightError, UnavailableError

log = logging.getLogger(__name__)

WINDOW_BYTES = 4 * 1024 * 1024
"""So much may be under way in one direction."""
UNMETERED_BYTES = 64 * 1024 * 1024
"""So much of a sender that does not count is kept until it is read; with more the stream ends."""
PIECE_BYTES = 256 * 1024
"""The most in one message, before base64."""
TELL_EVERY_BYTES = 1024 * 1024
"""How much is read before the other side is told so."""

ANY_NODE = "*"

Kind = Literal["data", "error", "resize", "eof", "exit", "ping", "kill", "taken"]


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between pings, and of silence until the other end counts as dead."""

    ping: float = 10.0
    silence: float = 30.0


class StreamLostError(UnavailableError):
    """The connection inside the platform was lost."""


class _Pipe:
    """Bytes that have come and were not read yet."""

    def __init__(self) -> None:
        self.waiting: deque[bytes] = deque()
        self.ended = False
        self.changed = asyncio.Event()

    def put(self, data: bytes) -> None:
        self.waiting.append(data)
        self.changed.set()

    def end(self) -> None:
        self.ended = True
        self.changed.set()


class ByteStream:
    """One end. Made by ``far_end`` and ``near_end``; one reader and one writer of each direction at a time.

    ``killed`` is called (once) when the other end wants this one to stop, or is dead; ``resized`` with rows and columns.
    """

    def __init__(self, bus: Bus, speak: str, *, metered: bool = True, pace: Pace = Pace()) -> None:
        self._bus, self._speak, self._metered, self._pace = bus, speak, metered, pace
        self._data, self._error = _Pipe(), _Pipe()
        self._sent = self._sent_taken = self._read = self._told = self._heard = self._said = self._held = 0
        self._room = asyncio.Event()
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._code.add_done_callback(lambda done: done.exception())
        self._problem: SitewrightError | None = None
        self._subscription: Subscription | None = None
        self._pinging: asyncio.Task[None] | None = None
        self._heard_at = asyncio.get_running_loop().time()
        self._speaking = asyncio.Lock()
        self._closed = self._exited = self._was_killed = False
        self.killed: Callable[[], None] | None = None
        self.resized: Callable[[int, int], None] | None = None

    async def open(self, listen: str) -> Self:
        """Begin to listen, and to ping once it is known whom."""
        self._subscription = await self._bus.subscribe(listen, StreamChunk, self._hear)
        if ANY_NODE not in self._speak:
            self._begin()
        return self

    def _begin(self) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        self._pinging = asyncio.create_task(self._ping(), name="stream-ping")

    def found(self, node: str, session: str) -> None:
        """A far end that listened to any node has learnt which one it is; before that nothing can be written."""
        self._speak = stream_in(node, session)
        self._begin()

    # What is read

    async def read(self) -> bytes:
        """The next bytes, at most 256 KiB; b"" at the end. Raises StreamLostError."""
        return await self._next(self._data)

    async def read_error(self) -> bytes:
        """The next bytes of standard error; b"" at the end. Raises StreamLostError."""
        return await self._next(self._error)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """All that ``read`` gives."""
        while data := await self.read():
            yield data

    async def wait(self) -> int:
        """The exit code that the near end has told. Raises StreamLostError."""
        return await asyncio.shield(self._code)

    async def _next(self, pipe: _Pipe) -> bytes:
        while not pipe.waiting:
            if self._problem is not None:
                raise self._problem
            if pipe.ended or self._closed:
                return b""
            pipe.changed.clear()
            await pipe.changed.wait()
        data = pipe.waiting.popleft()
        self._read += len(data)
        self._held -= len(data)
        if self._metered and self._read - self._told >= TELL_EVERY_BYTES and self._problem is None:
            self._told = self._read
            with contextlib.suppress(UnavailableError):
                await self._say("taken", code=self._read)
        return data

    # What is written

    async def write(self, data: bytes) -> None:
        """Send *data*; waits while too much is under way. Nothing happens once the other end has ended. Raises StreamLostError."""
        await self._send("data", data)

    async def write_error(self, data: bytes) -> None:
        """The same for standard error."""
        await self._send("error", data)

    async def _send(self, kind: Kind, data: bytes) -> None:
        view = memoryview(data)
        for start in range(0, len(view), PIECE_BYTES):
            piece = view[start : start + PIECE_BYTES]
            while self._metered and self._sent + len(piece) - self._sent_taken > WINDOW_BYTES and self._talking():
                self._room.clear()
                await self._room.wait()
            if not self._talking():
                return
            self._sent += len(piece)
            await self._say(kind, base64.b64encode(piece).decode("ascii"))

    def _talking(self) -> bool:
        if self._problem is not None:
            raise self._problem
        return not (self._closed or self._code.done())

    async def close_input(self) -> None:
        """Say that nothing more will be written here."""
        if self._talking():
            await self._say("eof")

    async def resize(self, rows: int, columns: int) -> None:
        """The terminal has that size now."""
        if self._talking():
            await self._say("resize", rows=rows, columns=columns)

    async def kill(self) -> None:
        """The near end shall stop at once. Never raises."""
        with contextlib.suppress(SitewrightError):
            await self._say("kill")

    async def exit(self, code: int) -> None:
        """Tell the far end that all was written and how it ended. Never raises: nobody may be there any more."""
        self._exited = True
        with contextlib.suppress(SitewrightError):
            await self._say("exit", code=code)

    async def close(self) -> None:
        """Let go. A far end that has not heard the exit code has the near end stopped."""
        if self._closed:
            return
        if not self._code.done() and not self._exited:
            await self.kill()
        self._closed = True
        if self._pinging is not None:
            self._pinging.cancel()
        if self._subscription is not None:
            await self._subscription.close()
        self._wake()
        if not self._code.done():
            self._code.set_exception(StreamLostError("It was closed."))

    # The wire

    async def _say(self, kind: Kind, data: str = "", *, code: int = 0, rows: int = 0, columns: int = 0) -> None:
        if ANY_NODE in self._speak:
            return
        async with self._speaking:
            self._said += 1
            chunk = StreamChunk(kind=kind, data=data, code=code, rows=rows, columns=columns, sequence=self._said)
            try:
                await self._bus.publish(self._speak, chunk)
            except UnavailableError as error:
                self._lose("The connection inside the platform was lost.", str(error))
                raise StreamLostError(details=str(error), resolution="Try again.") from error

    async def _hear(self, _subject: str, chunk: StreamChunk) -> None:
        if self._problem is not None or self._closed:
            return
        self._heard_at = asyncio.get_running_loop().time()
        if self._metered:
            self._heard += 1
            if chunk.sequence != self._heard:
                self._lose("A part of what was sent got lost on its way.", f"message {self._heard} of the stream")
                return
        try:
            self._take(chunk)
        except binascii.Error:
            self._lose("What was sent could not be read.", f"message {self._heard} of the stream")

    def _take(self, chunk: StreamChunk) -> None:
        match chunk.kind:
            case "data":
                self._keep(self._data, base64.b64decode(chunk.data, validate=True))
            case "error":
                self._keep(self._error, base64.b64decode(chunk.data, validate=True))
            case "taken":
                self._sent_taken = chunk.code
                self._room.set()
            case "eof":
                self._data.end()
            case "exit":
                if not self._code.done():
                    self._code.set_result(chunk.code)
                self._wake()
            case "kill":
                self._be_killed()
            case "resize":
                if self.resized is not None:
                    self.resized(chunk.rows, chunk.columns)

    def _keep(self, pipe: _Pipe, data: bytes) -> None:
        self._held += len(data)
        if self._held > (WINDOW_BYTES + PIECE_BYTES if self._metered else UNMETERED_BYTES):
            self._lose("The other side sent more than it may.")
        elif data:
            pipe.put(data)

    def _wake(self) -> None:
        self._data.end()
        self._error.end()
        self._room.set()

    def _be_killed(self) -> None:
        """The other end is gone, or wants this one to stop."""
        if not self._was_killed:
            self._was_killed = True
            self._problem = self._problem or StreamLostError("It was ended from the other side.")
            if not self._code.done():
                self._code.set_exception(self._problem)
            self._wake()
            if self.killed is not None:
                self.killed()

    def _lose(self, message: str, details: str = "") -> None:
        """Give up: whoever reads or writes gets the error, and the other end learns of it if it can be reached."""
        if self._problem is not None:
            return
        log.info("stream.lost", extra={"subject": self._speak, "reason": f"{message} {details}"})
        self._problem = StreamLostError(message, details=details, resolution="Try again.")
        if not self._code.done():
            self._code.set_exception(self._problem)
        self._wake()
        if not self._was_killed and self.killed is not None:
            self._was_killed = True
            self.killed()

    async def _ping(self) -> None:
        """Say that this end lives, and see whether the other does."""
        loop = asyncio.get_running_loop()
        while self._problem is None:
            await asyncio.sleep(self._pace.ping)
            if loop.time() - self._heard_at > self._pace.silence:
                self._lose("The other side has fallen silent.")
                await self.kill()
                return
            with contextlib.suppress(SitewrightError):
                await self._say("ping")


async def far_end(bus: Bus, node: str, session: str, *, pace: Pace = Pace()) -> ByteStream:
    """The end of who asks *node* for something; open it before asking. With ANY_NODE: see ``ByteStream.found``."""
    return await ByteStream(bus, stream_in(node, session), pace=pace).open(stream_out(node, session))


async def near_end(bus: Bus, node: str, session: str, *, metered: bool = True, pace: Pace = Pace()) -> ByteStream:
    """The node's end. *metered* False is for clients that neither count nor wait."""
    return await ByteStream(bus, stream_out(node, session), metered=metered, pace=pace).open(stream_in(node, session))
