"""Commands, terminals, files and ports of sites, with input and output over the bus: `sitewright exec` and `run`, and the SSH door.

Neither side can leave the other's half behind: each sends a ping every 10 s, and without one for 30 s the session ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sitewright.bus.base import Bus
from sitewright.bus.messages import Ack, ExecOpen
from sitewright.bus.streams import ByteStream, near_end
from sitewright.bus.subjects import is_session
from sitewright.domain.events import EventKind
from sitewright.engines.base import TerminalSize
from sitewright.errors import InvalidValueError, QuotaError, SitewrightError
from sitewright.orchestrator.daemon import Orchestrator
from sitewright.orchestrator.opened import Opened, Openings
from sitewright.system.clock import Clock

log = logging.getLogger(__name__)

VISIT_SECONDS = 10.0
"""How often a channel is told that somebody is with it, so that it does not fall asleep."""
MOST_SESSIONS = 8
"""At a time for one channel."""
MOST_PORTS = 64
"""Connections through `ssh -L` at a time for one channel: a browser opens many."""
MOST_ARGUMENTS = 256
LONGEST_ARGUMENT = 64 * 1024
TOLD_SECONDS = 600.0
"""A person's connections to one site's ports are one line in its timeline for that long."""


@dataclass(slots=True)
class _Session:
    request: ExecOpen
    opened: Opened
    stream: ByteStream
    told: bool


class ExecSessions:
    """The open sessions of this node."""

    def __init__(self, bus: Bus, orchestrator: Orchestrator) -> None:
        self._bus = bus
        self._orchestrator = orchestrator
        self._node = orchestrator.tools.settings.node
        self._clock: Clock = orchestrator.tools.clock
        self._sessions: dict[str, _Session] = {}
        self._opening: dict[str, ExecOpen] = {}
        """Asked for, and not there yet. They count, for a sleeping site takes a while to wake."""
        self._running: set[asyncio.Task[None]] = set()
        self._openings = Openings(orchestrator)
        self._told: dict[tuple[str, str], float] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    async def open(self, request: ExecOpen) -> Ack:
        """Start it. Raises ConflictError when nothing runs, QuotaError for too many at a time."""
        self._check(request)
        self._opening[request.session] = request
        try:
            await self._begin(request)
        finally:
            del self._opening[request.session]
        return Ack()

    async def _begin(self, request: ExecOpen) -> None:
        opened = await self._openings.open(request)
        try:
            stream = await near_end(self._bus, self._node, request.session, metered=request.metered)
        except BaseException:
            await self._end(opened)
            raise
        told = self._is_told(request)
        session = _Session(request, opened, stream, told)
        self._sessions[request.session] = session
        stream.killed = lambda: self._spawn(opened.process.kill())
        stream.resized = lambda rows, columns: self._spawn(opened.process.resize(TerminalSize(rows, columns)))
        self._spawn(self._serve(session))
        if told:
            self._tell(session, opened.kind, opened.text)

    def _check(self, request: ExecOpen) -> None:
        if not is_session(request.session) or request.session in self._sessions or request.session in self._opening:
            raise InvalidValueError("This is not a new session's id.")
        if request.port:
            if not 1 <= request.port <= 65535 or request.argv:
                raise InvalidValueError("This is not a port.")
        elif not request.argv or len(request.argv) > MOST_ARGUMENTS or any(len(a) > LONGEST_ARGUMENT or "\0" in a for a in request.argv):
            raise InvalidValueError("A command is needed.", resolution="Give at least a program's name, and not more than 256 arguments.")
        open_now = {**{name: one.request for name, one in self._sessions.items()}, **self._opening}.values()
        alike = [one for one in open_now if one.channel_id == request.channel_id and bool(one.port) == bool(request.port)]
        if request.port and len(alike) >= MOST_PORTS:
            raise QuotaError(f"{MOST_PORTS} connections to this site's ports are open already.", resolution="Close some of them first.")
        if not request.port and len(alike) >= MOST_SESSIONS:
            raise QuotaError(f"This site has {MOST_SESSIONS} terminals open already.", resolution="Close one of them first.")

    def _is_told(self, request: ExecOpen) -> bool:
        """Whether it gets a line in the timeline."""
        if not request.port:
            return True
        key, now = (request.channel_id, request.session_user), self._clock.steady()
        self._told = {one: at for one, at in self._told.items() if now - at < TOLD_SECONDS}
        if key in self._told:
            return False
        self._told[key] = now
        return True

    def _tell(self, session: _Session, kind: EventKind, text: str) -> None:
        events = self._orchestrator.tools.events
        events.emit(kind, session.opened.site_id, session.request.channel_id, text, who=session.request.session_user)

    async def _serve(self, session: _Session) -> None:
        code, process, stream = -1, session.opened.process, session.stream
        visiting = asyncio.create_task(self._visit(session.request))
        feeding = asyncio.create_task(_feed(stream, process.write))
        # Lost input is not the end of input: nobody shall take half a file for a whole one.
        feeding.add_done_callback(lambda done: self._spawn(process.kill()) if not done.cancelled() and done.exception() else None)
        try:
            await asyncio.gather(_pump(process.read, stream.write), _pump(process.read_error, stream.write_error))
            code = (await process.wait()).code
        except SitewrightError as error:
            log.info("exec.lost", extra={"session": session.request.session, "reason": str(error)})
        finally:
            visiting.cancel()
            feeding.cancel()
            await process.kill()
            await stream.exit(code)
            await stream.close()
            await self._end(session.opened)
            self._sessions.pop(session.request.session, None)
            if session.request.session_user and not session.request.port:
                self._tell(session, EventKind.EXEC_CLOSED, "It ended: " + session.opened.text)

    async def _end(self, opened: Opened) -> None:
        with contextlib.suppress(SitewrightError):
            await opened.process.kill()
        if opened.box is not None:
            self._openings.end(opened.box)

    async def _visit(self, request: ExecOpen) -> None:
        """Somebody is with the channel; whoever only copies files needs nothing of it awake."""
        while not request.files:
            await asyncio.sleep(VISIT_SECONDS)
            self._orchestrator.visit(request.channel_id)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("exec.failed", extra={"reason": str(error)})

    async def close(self) -> None:
        """End all of them."""
        for session in list(self._sessions.values()):
            with contextlib.suppress(SitewrightError):
                await session.opened.process.kill()
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


async def _pump(read: Callable[[], Awaitable[bytes]], write: Callable[[bytes], Awaitable[None]]) -> None:
    """Pass on until the end."""
    while data := await read():
        await write(data)


async def _feed(stream: ByteStream, write: Callable[[bytes], Awaitable[None]]) -> None:
    """Input, and its end."""
    await _pump(stream.read, write)
    await write(b"")
