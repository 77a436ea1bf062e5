"""Commands beside a running instance or in a box of their own, with input and output over the bus: terminals, `sitewright exec`, `run`.

Neither side can leave the other's half behind: each sends a ping every 10 s, and without one for 30 s the session ends.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import logging
from dataclasses import dataclass

from sitewright.bus.base import Bus, Subscription
from sitewright.bus.messages import Ack, ExecOpen, StreamChunk
from sitewright.bus.subjects import stream_in, stream_out
from sitewright.domain.events import EventKind, as_told
from sitewright.domain.identity import is_id
from sitewright.engines.base import EngineState, ExecSession, Observed, TerminalSize
from sitewright.errors import ConflictError, InvalidValueError, QuotaError, SitewrightError, UnavailableError
from sitewright.orchestrator.daemon import Orchestrator
from sitewright.orchestrator.one_off import OneOffs
from sitewright.system.clock import Clock

log = logging.getLogger(__name__)

PING_SECONDS = 10.0
SILENCE_SECONDS = 30.0
MOST_SESSIONS = 8
"""At a time for one channel."""
MOST_ARGUMENTS = 256
LONGEST_ARGUMENT = 64 * 1024


@dataclass(slots=True)
class _Session:
    id: str
    channel_id: str
    process: ExecSession
    heard_at: float
    box: Observed | None = None
    """The box that was opened for it and ends with it."""
    sequence: int = 0


class ExecSessions:
    """The open sessions of this node."""

    def __init__(self, bus: Bus, orchestrator: Orchestrator) -> None:
        self._bus = bus
        self._orchestrator = orchestrator
        self._node = orchestrator.tools.settings.node
        self._clock: Clock = orchestrator.tools.clock
        self._sessions: dict[str, _Session] = {}
        self._opening: dict[str, str] = {}
        """Session → channel: asked for, and not there yet. They count, for a sleeping site takes a while to wake."""
        self._running: set[asyncio.Task[None]] = set()
        self._boxes = OneOffs(orchestrator)

    def __len__(self) -> int:
        return len(self._sessions)

    async def open(self, request: ExecOpen) -> Ack:
        """Start the command. Raises ConflictError when nothing runs, QuotaError for too many at a time."""
        self._check(request)
        self._opening[request.session] = request.channel_id
        try:
            await self._begin(request)
        finally:
            del self._opening[request.session]
        return Ack()

    async def _begin(self, request: ExecOpen) -> None:
        box = await self._boxes.open(request.channel_id) if request.one_off else None
        if box is None:
            await self._orchestrator.rouse(request.channel_id, "a terminal")
        target = box or self._target(request)
        terminal = TerminalSize(request.rows, request.columns) if request.terminal else None
        try:
            process = await self._orchestrator.tools.engine.exec(target.spec.id, request.argv, terminal)
            session = _Session(request.session, request.channel_id, process, self._clock.steady(), box)
            self._sessions[session.id] = session
            subscription = await self._bus.subscribe(
                stream_in(self._node, session.id), StreamChunk, lambda _, chunk: self._hear(session, chunk)
            )
        except BaseException:
            self._sessions.pop(request.session, None)
            if box is not None:
                self._boxes.end(box)
            raise
        task = asyncio.create_task(self._serve(session, subscription))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        where = "by itself" if request.one_off else f"beside {target.spec.process}"
        self._tell(EventKind.EXEC_OPENED, target, f"A command was run {where}: {as_told(request.argv[0])}.")

    def _check(self, request: ExecOpen) -> None:
        if not is_id(request.session) or request.session in self._sessions or request.session in self._opening:
            raise InvalidValueError("This is not a new session's id.")
        if not request.argv or len(request.argv) > MOST_ARGUMENTS or any(len(a) > LONGEST_ARGUMENT or "\0" in a for a in request.argv):
            raise InvalidValueError("A command is needed.", resolution="Give at least a program's name, and not more than 256 arguments.")
        open_now = [*(s.channel_id for s in self._sessions.values() if s.id not in self._opening), *self._opening.values()]
        if open_now.count(request.channel_id) >= MOST_SESSIONS:
            raise QuotaError(f"This site has {MOST_SESSIONS} terminals open already.", resolution="Close one of them first.")

    def _target(self, request: ExecOpen) -> Observed:
        running = [
            item
            for item in self._orchestrator.observed(request.channel_id)
            if item.spec.process == request.process and item.state is EngineState.RUNNING
        ]
        if not running:
            raise ConflictError(
                f"No “{request.process}” process of this site is running.",
                resolution="Start the site first; a static site has no processes.",
            )
        return max(running, key=lambda item: item.started_at)

    def _tell(self, kind: EventKind, target: Observed, text: str) -> None:
        self._orchestrator.tools.events.emit(kind, target.spec.site_id, target.spec.channel_id, text)

    async def _serve(self, session: _Session, subscription: Subscription) -> None:
        code = -1
        watchdog = asyncio.create_task(self._watch(session))
        try:
            while data := await session.process.read():
                await self._send(session, StreamChunk(kind="data", data=base64.b64encode(data).decode()))
            code = (await session.process.wait()).code
        except UnavailableError:
            log.info("exec.bus_lost", extra={"session": session.id})
        except SitewrightError as error:
            log.warning("exec.failed", extra={"session": session.id, "reason": str(error)})
        finally:
            watchdog.cancel()
            await session.process.kill()
            with contextlib.suppress(SitewrightError):
                await self._send(session, StreamChunk(kind="exit", code=code))
            if session.box is not None:
                self._boxes.end(session.box)
            self._sessions.pop(session.id, None)
            await subscription.close()

    async def _send(self, session: _Session, chunk: StreamChunk) -> None:
        session.sequence += 1
        await self._bus.publish(stream_out(self._node, session.id), chunk.model_copy(update={"sequence": session.sequence}))

    async def _hear(self, session: _Session, chunk: StreamChunk) -> None:
        session.heard_at = self._clock.steady()
        try:
            match chunk.kind:
                case "data":
                    data = base64.b64decode(chunk.data, validate=True)
                    if data:
                        await session.process.write(data)
                case "eof":
                    await session.process.write(b"")
                case "resize":
                    await session.process.resize(TerminalSize(chunk.rows, chunk.columns))
                case "kill" | "exit":
                    await session.process.kill()
                case "ping":
                    pass
        except (binascii.Error, OSError, SitewrightError) as error:
            log.debug("exec.input_lost", extra={"session": session.id, "reason": str(error)})

    async def _watch(self, session: _Session) -> None:
        while True:
            await asyncio.sleep(PING_SECONDS)
            self._orchestrator.visit(session.channel_id)
            if self._clock.steady() - session.heard_at > SILENCE_SECONDS:
                log.info("exec.silent", extra={"session": session.id})
                await session.process.kill()
                return
            with contextlib.suppress(SitewrightError):
                await self._send(session, StreamChunk(kind="ping"))

    async def close(self) -> None:
        """End all of them."""
        for session in list(self._sessions.values()):
            with contextlib.suppress(SitewrightError):
                await session.process.kill()
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
