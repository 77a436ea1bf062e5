"""One connection through `ssh -L`: to a port of the site's own running process, and nowhere else."""

from __future__ import annotations

import asyncio
import contextlib

from sitewright.bus.messages.doors import DoorOpen
from sitewright.bus.streams import ANY_NODE, ByteStream, far_end
from sitewright.bus.subjects import DOOR, door_session
from sitewright.domain.identity import new_id
from sitewright.errors import SitewrightError, UnavailableError
from sitewright.ssh.asking import on_one_line
from sitewright.ssh.library import OPEN_CONNECT_FAILED, ChannelOpenError, SSHTCPChannel, SSHTCPSession
from sitewright.ssh.session import Valve, pump_in
from sitewright.ssh.visitor import Visitor
from sitewright.ssh.wish import Wish


class Tunnel(SSHTCPSession[bytes]):
    """The bytes of one connection."""

    def __init__(self, visitor: Visitor, stream: ByteStream) -> None:
        self._visitor = visitor
        self._stream = stream
        self._channel: SSHTCPChannel[bytes] | None = None
        self._input = Valve()
        self._writable = asyncio.Event()
        self._writable.set()
        self._work: list[asyncio.Task[None]] = []

    def connection_made(self, chan: SSHTCPChannel[bytes]) -> None:
        """The channel is there."""
        self._channel = self._input.channel = chan

    def session_started(self) -> None:
        """Go."""
        self._work = [self._visitor.spawn(self._out()), self._visitor.spawn(pump_in(self._input, self._stream))]

    def data_received(self, data: bytes, datatype: int | None) -> None:  # noqa: ARG002 - only one kind comes
        """From the client."""
        self._input.put(data)

    def eof_received(self) -> bool:
        """The client has said all; the answer goes on."""
        self._input.end()
        return True

    def pause_writing(self) -> None:
        """The client is slow."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the contract
        """Either side has closed."""
        self._visitor.channels -= 1
        self._input.lose()
        for task in self._work:
            task.cancel()
        self._visitor.spawn(self._stream.close())

    async def _out(self) -> None:
        assert self._channel is not None
        with contextlib.suppress(SitewrightError):
            while data := await self._stream.read():
                await self._writable.wait()
                if self._channel.is_closing():
                    return
                self._channel.write(data)
        if not self._channel.is_closing():
            self._channel.write_eof()
            self._channel.close()


async def open_tunnel(visitor: Visitor, wish: Wish) -> Tunnel:
    """Connect. Raises ChannelOpenError with the reason in words."""
    session = new_id()
    name = door_session(DOOR, session)
    stream = await far_end(visitor.bus, ANY_NODE, name)
    question = DoorOpen(
        session=session, user_id=visitor.user_id, site=wish.site, service=wish.service, port=wish.port, address=visitor.address
    )
    try:
        stream.found(await visitor.open(question), name)
        if visitor.gone:  # nobody will ever close it
            raise UnavailableError("The connection has ended.")
    except BaseException as error:
        visitor.channels -= 1
        await stream.close()
        if isinstance(error, SitewrightError):
            raise ChannelOpenError(OPEN_CONNECT_FAILED, on_one_line(error)) from error
        raise
    return Tunnel(visitor, stream)
