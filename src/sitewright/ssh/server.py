"""Who is let in, and what a connection may ask for. Everything that is not offered is refused by the library's own defaults."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from asyncio.trsock import TransportSocket
from collections.abc import Callable
from typing import Any

from sitewright.bus.messages.doors import DoorPerson
from sitewright.errors import InvalidValueError, SitewrightError
from sitewright.ssh.asking import in_words, on_one_line
from sitewright.ssh.library import (
    OPEN_ADMINISTRATIVELY_PROHIBITED,
    ChannelOpenError,
    SSHKey,
    SSHServer,
    SSHServerConnection,
    SSHTCPChannel,
)
from sitewright.ssh.limits import MOST_CHANNELS, MOST_TRIES, UNUSED_SECONDS, Limits
from sitewright.ssh.session import DoorSession
from sitewright.ssh.tunnel import Tunnel, open_tunnel
from sitewright.ssh.visitor import Visitor
from sitewright.ssh.wish import port_wish

log = logging.getLogger(__name__)

PACKET_BYTES = 64 * 1024
WINDOW_BYTES = 2 * 1024 * 1024


class DoorServer(SSHServer):
    """One connection. ``keys_page`` is the address of the page on which people manage their keys."""

    def __init__(self, visitor: Visitor, limits: Limits, keys_page: str, came: Callable[[SSHServerConnection], None]) -> None:
        self.visitor = visitor
        self._came = came
        self._limits = limits
        self._keys_page = keys_page
        self._connection: SSHServerConnection | None = None
        self._known: dict[str, DoorPerson | None] = {}
        """Fingerprint → whose it is, for this connection: each key is asked about twice."""
        self._told = False
        self._fingerprint = ""

    def connection_made(self, conn: SSHServerConnection) -> None:
        """Somebody is there; too many from one place are shown out."""
        self._connection = conn
        peer: Any = conn.get_extra_info("peername")
        self.visitor.address = str(peer[0]) if isinstance(peer, tuple) else ""
        self._came(conn)
        answer_at_once(conn)
        allowed = self._limits.may_connect(self.visitor.address, self._now())
        self._limits.connected(self.visitor.address)
        if not allowed:
            log.info("door.too_many", extra={"address": self.visitor.address})
            conn.disconnect(12, "Too many connections; try again in a minute.")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the contract
        """They are gone; what they had begun is ended by its own channel."""
        self.visitor.gone = True
        self._limits.disconnected(self.visitor.address, self.visitor.user_id)
        if self._connection is not None:
            self.visitor.leave(self._connection)

    def begin_auth(self, username: str) -> bool:
        """Everybody has to prove who they are."""
        self.visitor.name = username
        return True

    def public_key_auth_supported(self) -> bool:
        """The one way in."""
        return True

    async def validate_public_key(self, username: str, key: SSHKey) -> bool:  # noqa: ARG002 - begin_auth has it
        """Whether somebody owns that key; the library then checks the signature."""
        fingerprint = key.get_fingerprint()
        if fingerprint not in self._known:
            if len(self._known) >= MOST_TRIES:
                self._say("Too many keys were tried. Name one with `ssh -i FILE -o IdentitiesOnly=yes`.")
                return False
            try:
                owner = await self.visitor.manager.whose(fingerprint, self.visitor.address)
            except SitewrightError as error:
                self._say(f"Keys cannot be looked up just now. {error.resolution}")
                return False
            self._known[fingerprint] = owner
            if owner is None:
                self._limits.failed(self.visitor.address, self._now())
                self._say(f"The key {fingerprint} is not known here. Add it on {self._keys_page}")
        self._fingerprint = fingerprint
        return self._known[fingerprint] is not None

    def auth_completed(self) -> None:
        """The signature was right: it is the owner of the key that was checked last."""
        owner = self._known.get(self._fingerprint)
        assert self._connection is not None
        assert owner is not None, "a signature is checked only for a key that somebody owns"
        if not self._limits.sign_in(owner.user_id):
            self._connection.disconnect(12, "You have too many connections; end one first.")
            return
        self.visitor.signed_in(owner, self._fingerprint)
        self.visitor.spawn(self._note_use())
        self._watch()

    async def _note_use(self) -> None:
        try:
            await self.visitor.manager.whose(self._fingerprint, self.visitor.address, used=True)
        except SitewrightError as error:
            log.warning("door.key_not_noted", extra={"reason": str(error)})

    def session_requested(self) -> Any:
        """A session; what it is for comes next."""
        self._count()
        assert self._connection is not None
        channel = self._connection.create_server_channel(encoding=None, window=WINDOW_BYTES, max_pktsize=PACKET_BYTES)
        return channel, _Counted(self.visitor)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Any:  # noqa: ARG002
        """A connection through the door: to the site's own ports only."""
        try:
            wish = port_wish(self.visitor.name, dest_host, dest_port)
        except InvalidValueError as error:
            raise ChannelOpenError(OPEN_ADMINISTRATIVELY_PROHIBITED, on_one_line(error)) from error
        self._count()
        assert self._connection is not None
        channel: SSHTCPChannel[bytes] = self._connection.create_tcp_channel(encoding=None, window=WINDOW_BYTES, max_pktsize=PACKET_BYTES)

        async def connect() -> Tunnel:
            return await open_tunnel(self.visitor, wish)

        return channel, connect()

    def _count(self) -> None:
        if self.visitor.channels >= MOST_CHANNELS:
            raise ChannelOpenError(OPEN_ADMINISTRATIVELY_PROHIBITED, f"{MOST_CHANNELS} are open already.")
        self.visitor.channels += 1

    def _say(self, words: str) -> None:
        """Once a connection, before anybody is let in."""
        if not self._told and self._connection is not None:
            self._told = True
            self._connection.send_auth_banner(in_words(InvalidValueError(words)).decode())

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _watch(self) -> None:
        """A connection that is not used for anything is ended."""
        loop, state = asyncio.get_running_loop(), {"idle": 0}

        def look() -> None:
            if self._connection is None or self._connection.is_closed():
                return
            state["idle"] = 0 if self.visitor.channels else state["idle"] + 1
            if state["idle"] >= 2:
                self._connection.disconnect(11, "Nothing was asked for.")
                return
            loop.call_later(UNUSED_SECONDS / 2, look)

        loop.call_later(UNUSED_SECONDS / 2, look)


def answer_at_once(connection: SSHServerConnection) -> None:
    """Say at once that something came. OpenSSH holds back its next few bytes until it hears so, and the kernel would wait 40 ms with that
    for an answer to send along: twice before somebody is let in. The kernel forgets this after a while, so it is told each time."""
    peer: Any = connection.get_extra_info("socket")
    if not isinstance(peer, TransportSocket) or peer.family not in (socket.AF_INET, socket.AF_INET6):
        return
    take = connection.data_received

    def taken(data: bytes, datatype: int | None = None) -> None:
        take(data, datatype)
        with contextlib.suppress(OSError):
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    connection.data_received = taken  # type: ignore[method-assign]


class _Counted(DoorSession):
    """Gives its place back when it ends."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._visitor.channels -= 1
        super().connection_lost(exc)
