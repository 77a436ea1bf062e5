"""A stream to a node for code in another event loop than the bus's: each call is done over there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import zlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from sitewright.bus.messages import Ack
from sitewright.bus.streams import ByteStream, far_end
from sitewright.bus.subjects import rpc
from sitewright.errors import EngineError, SitewrightError, UnavailableError
from sitewright.manager.bus import BusThread
from sitewright.manager.doors.body import Body, GoneError, TooLargeError
from sitewright.manager.doors.opening import Opening
from sitewright.manager.runtime import runtime

log = logging.getLogger(__name__)

T = TypeVar("T")
OPEN_SECONDS = 25.0


class Talk:
    """One conversation."""

    def __init__(self, thread: BusThread, stream: ByteStream) -> None:
        self._thread = thread
        self._stream = stream
        self._feeding: asyncio.Task[None] | None = None
        self._problem: Exception | None = None

    async def _there(self, work: Coroutine[Any, Any, T]) -> T:
        return await self._thread.join(work)

    async def read(self) -> bytes:
        """The next of its output; b"" at the end. Raises UnavailableError, TooLargeError."""
        return await self._reasoned(self._stream.read())

    async def errors(self, most: int) -> str:
        """What it has said on standard error, at most so many bytes."""
        said = b""
        with contextlib.suppress(SitewrightError):
            while len(said) < most and (data := await self._there(self._stream.read_error())):
                said += data
        return said[:most].decode(errors="replace").strip()

    async def wait(self) -> int:
        """Its exit code. Raises UnavailableError, TooLargeError."""
        return await self._reasoned(self._stream.wait())

    async def _reasoned(self, work: Coroutine[Any, Any, T]) -> T:
        """Why the body was not sent is said rather than that git then ended."""
        try:
            found = await self._there(work)
        except SitewrightError:
            if self._problem is not None:
                raise self._problem from None
            raise
        if self._problem is not None:
            raise self._problem
        return found

    async def close_input(self) -> None:
        """Nothing is sent to it."""
        await self._there(self._stream.close_input())

    def feed(self, body: Body, *, until_gone: bool) -> None:
        """Send it the body meanwhile. A body that breaks off ends the conversation: nobody takes half of it for the whole.

        *until_gone*: it ends, too, when whoever asked has left; a push goes on without its pusher.
        """
        self._feeding = asyncio.create_task(self._feed(body, until_gone=until_gone))

    async def _feed(self, body: Body, *, until_gone: bool) -> None:
        try:
            async for piece in body:
                await self._there(self._stream.write(piece))
            await self._there(self._stream.close_input())
            if until_gone:
                await body.gone()
        except (GoneError, TooLargeError, zlib.error) as error:
            self._problem = error if isinstance(error, TooLargeError) else UnavailableError("What was sent broke off.")
            await self._there(self._stream.kill())
            await self._there(self._stream.close())
        except SitewrightError as error:
            log.info("git.input_lost", extra={"reason": str(error)})

    async def close(self) -> None:
        """Whoever asked has the answer, or is gone."""
        if self._feeding is not None:
            self._feeding.cancel()
            await asyncio.gather(self._feeding, return_exceptions=True)
        await self._there(self._stream.close())


@contextlib.asynccontextmanager
async def talk(opening: Opening) -> AsyncIterator[Talk]:
    """Have the node open it. Raises SitewrightError."""
    thread = runtime().bus
    if thread is None:
        raise UnavailableError("This process does not talk to nodes.")
    session = opening.question.session
    one = Talk(thread, await thread.join(far_end(thread.bus, opening.node, session)))
    try:
        asking = thread.bus.request(rpc(opening.node, opening.method), opening.question, Ack, OPEN_SECONDS)
        answer = await thread.join(asking)
        if answer.problem:
            raise EngineError("It could not be opened.", details=answer.problem)
        yield one
    finally:
        await asyncio.shield(one.close())
