"""The wake server: nginx asks it for whoever is not at home, before it sends a request on.

One question is a GET with ``X-Sitewright-Host`` and ``X-Sitewright-Patience`` (``browser`` or ``client``); nginx's ``auth_request`` reads
the answer's status: 204 somebody is at home now; 401 still starting, and a browser's patience is over; 403 it crashed or cannot start; 404
nobody knows that host, or it is switched off. nginx asks again with the same request, body unread, only after 204.

While the routing table is not whole yet (a start after a reboot), nginx asks with the patience ``route`` for a host without a route: 204
means that it has one now, whatever it leads to.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections import defaultdict
from http import HTTPStatus
from pathlib import Path

import h11

from sitewright.domain.route import Presence
from sitewright.domain.sleep import SleepStage
from sitewright.engines.base import EngineState
from sitewright.orchestrator.daemon import Orchestrator
from sitewright.orchestrator.model import WEB
from sitewright.system.accounts import is_root, router_account

log = logging.getLogger(__name__)

INHERITED = "SITEWRIGHT_WAKE_FD"
"""Names the descriptor of a listening socket that the supervisor keeps, so that questions wait in it while the node restarts."""
BACKLOG = 4096
BROWSER_SECONDS = 3.0
CLIENT_SECONDS = 120.0
IDLE_SECONDS = 60.0
"""A connection without a whole question for so long is closed."""
LONGEST_QUESTION = 16 * 1024
HOST_HEADER = b"x-sitewright-host"
PATIENCE_HEADER = b"x-sitewright-patience"
ROUTE = b"route"
VISITOR = "a visitor"


class Wakes:
    """Who waits for which channel, and what to tell them."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._waiting: dict[str, set[asyncio.Future[None]]] = defaultdict(set)
        self._rousing: dict[str, asyncio.Task[None]] = {}
        orchestrator.looked.append(self._looked)

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    async def wait(self, host: str, patience: float) -> HTTPStatus:
        """Wake whoever *host* leads to, and wait for it up to *patience* seconds; the answer's status."""
        channel_id = self._orchestrator.store.channel_of(host)
        if not channel_id:
            return HTTPStatus.NOT_FOUND
        try:
            async with asyncio.timeout(patience):
                return await self._answer(channel_id)
        except TimeoutError:
            return HTTPStatus.UNAUTHORIZED

    async def route(self, host: str) -> HTTPStatus:
        """Have the router know where *host* leads, before all others."""
        channel_id = self._orchestrator.store.channel_of(host)
        if channel_id:
            await self._orchestrator.opening.first(channel_id)
        known = bool(channel_id) and (self._orchestrator.tools.settings.paths.routes / host).exists()
        return HTTPStatus.NO_CONTENT if known else HTTPStatus.NOT_FOUND

    async def _answer(self, channel_id: str) -> HTTPStatus:
        await self._orchestrator.opening.first(channel_id)
        outcome = await self._at_home(channel_id)
        if outcome is not None:
            return outcome
        self._rouse(channel_id)
        while True:
            future = asyncio.get_running_loop().create_future()
            waiting = self._waiting[channel_id]
            waiting.add(future)
            try:
                await future
            finally:
                waiting.discard(future)
                if not waiting:
                    self._waiting.pop(channel_id, None)
            outcome = self._found(channel_id)
            if outcome is not None:
                return outcome
            self._stay(channel_id)

    def _stay(self, channel_id: str) -> None:
        """Whoever waits is a visitor: the channel is not idle, and when it fell asleep all the same it is woken again. It does so when the
        one who had been asked first was killed, for the wake died with him."""
        self._orchestrator.visit(channel_id)
        memory = self._orchestrator.tools.memories.loaded(channel_id)
        if memory is None or memory.sleep.stage is not SleepStage.AWAKE:
            self._rouse(channel_id)

    async def _at_home(self, channel_id: str) -> HTTPStatus | None:
        """Whether a visitor can be sent to it now; None while that is not known.

        The router asks when its slots refused a connection too: then what is written down may be a moment old, so one is looked at.
        """
        known = self._found(channel_id)
        if known is not HTTPStatus.NO_CONTENT:
            return known
        for item in self._orchestrator.observed(channel_id):
            running = item.spec.process == WEB and item.state is EngineState.RUNNING
            if running and await self._orchestrator.tools.engine.listening(item.spec.id):
                return known
        return None

    def _found(self, channel_id: str) -> HTTPStatus | None:
        """What is written down of whether a visitor can be sent to the channel; None while it sleeps or starts."""
        told = self._orchestrator.store.told(channel_id)
        if told is None or told.removed:
            return HTTPStatus.NOT_FOUND
        memories = self._orchestrator.tools.memories
        memory, resting = memories.loaded(channel_id), memories.resting(channel_id)
        if resting is not None and resting.sleep.stage is SleepStage.AWAKE:
            return HTTPStatus.NOT_FOUND
        route = memory.route if memory is not None else None
        if memory is None or route is None or memory.sleep.stage is not SleepStage.AWAKE:
            return None
        if route.presence is Presence.STOPPED:
            return HTTPStatus.NOT_FOUND
        if route.sockets:
            return HTTPStatus.NO_CONTENT
        return HTTPStatus.FORBIDDEN if memory.said else None

    def _rouse(self, channel_id: str) -> None:
        """Once, however many ask."""
        if channel_id in self._rousing:
            return
        task = asyncio.create_task(self._orchestrator.rouse(channel_id, VISITOR))
        self._rousing[channel_id] = task
        task.add_done_callback(lambda done: self._roused(channel_id, done))

    def _roused(self, channel_id: str, task: asyncio.Task[None]) -> None:
        self._rousing.pop(channel_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("wake.failed", extra={"channel": channel_id, "reason": repr(error)})
            self._orchestrator.wake(channel_id)

    def _looked(self, channel_id: str) -> None:
        for future in self._waiting.get(channel_id, ()):
            if not future.done():
                future.set_result(None)

    async def close(self) -> None:
        """Let go of everybody."""
        for task in list(self._rousing.values()):
            task.cancel()
        await asyncio.gather(*self._rousing.values(), return_exceptions=True)


class _Conversation(asyncio.Protocol):
    """One connection: questions, one after the other. Whoever goes away is let go."""

    def __init__(self, server: WakeServer) -> None:
        self._server = server
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=LONGEST_QUESTION)
        self._transport: asyncio.Transport | None = None
        self._answering: asyncio.Task[None] | None = None
        self._idle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.conversations.add(self)
        self._wait_for_question()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's shape
        """They are gone; what they waited for goes on without them."""
        self._server.conversations.discard(self)
        self._stop_waiting()
        if self._answering is not None:
            self._answering.cancel()
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """A part of a question."""
        try:
            self._http.receive_data(data)
            self._next()
        except h11.RemoteProtocolError:
            self.close()

    def eof_received(self) -> bool:
        """Whoever ends the conversation in the middle of a question has gone away."""
        return False

    def _next(self) -> None:
        while self._answering is None:
            event = self._http.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                return
            if isinstance(event, h11.Request):
                headers = dict(event.headers)
                self._stop_waiting()
                self._answering = asyncio.create_task(self._answer(headers))
            elif isinstance(event, h11.ConnectionClosed):
                self.close()
                return

    async def _answer(self, headers: dict[bytes, bytes]) -> None:
        host = headers.get(HOST_HEADER, b"").decode("ascii", "replace").lower()
        how = headers.get(PATIENCE_HEADER)
        patience = BROWSER_SECONDS if how == b"browser" else CLIENT_SECONDS
        status = HTTPStatus.SERVICE_UNAVAILABLE
        try:
            wakes = self._server.wakes
            status = await (wakes.route(host) if how == ROUTE else wakes.wait(host, patience))
        except Exception:
            log.exception("wake.failed", extra={"host": host})
        self._say(status)

    def _say(self, status: HTTPStatus) -> None:
        self._answering = None
        if self._transport is None:
            return
        headers = [] if status is HTTPStatus.NO_CONTENT else [("Content-Length", "0")]
        try:
            while self._http.their_state is h11.SEND_BODY:
                if self._http.next_event() is h11.NEED_DATA:
                    break
            answer = self._http.send(h11.Response(status_code=status, headers=headers, reason=status.phrase.encode()))
            self._transport.write((answer or b"") + (self._http.send(h11.EndOfMessage()) or b""))
            if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
                self._http.start_next_cycle()
                self._wait_for_question()
                self._next()
            else:
                self.close()
        except h11.ProtocolError:
            self.close()

    def _wait_for_question(self) -> None:
        self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self.close)

    def _stop_waiting(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def close(self) -> None:
        """End the conversation."""
        self._stop_waiting()
        if self._transport is not None:
            self._transport.close()


class WakeServer:
    """Listens on the wake socket."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self.wakes = Wakes(orchestrator)
        self.conversations: set[_Conversation] = set()
        self._path = orchestrator.tools.settings.paths.wake_socket
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen. Raises OSError."""
        listener = inherited() or make_listener(self._path)
        # Not create_unix_server: from Python 3.13 on it would remove the socket's path at the end, which is there for whoever comes next.
        self._server = await asyncio.get_running_loop().create_server(lambda: _Conversation(self), sock=listener, backlog=BACKLOG)

    async def close(self) -> None:
        """Stop listening and let go of everybody; the socket stays for whoever comes next."""
        if self._server is not None:
            self._server.close()
        for conversation in list(self.conversations):
            conversation.close()
        await self.wakes.close()


def inherited() -> socket.socket | None:
    """The listening socket that the supervisor handed over, or None. The name is taken out of the environment: it is for this process."""
    value = os.environ.pop(INHERITED, "")
    if not value.isdigit():
        return None
    listener = socket.socket(fileno=int(value))
    listener.setblocking(False)
    os.set_inheritable(listener.fileno(), False)
    return listener


def make_listener(path: Path) -> socket.socket:
    """A listening socket at *path* that the router's group may connect to. Raises OSError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        listener.bind(str(temporary))
        temporary.chmod(0o660)
        if is_root():
            os.chown(temporary, 0, router_account().gid)
        listener.listen(BACKLOG)
        temporary.replace(path)
    except BaseException:
        listener.close()
        raise
    return listener
