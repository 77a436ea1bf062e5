"""A command or terminal beside a running instance: a web socket on one side, two subjects of the bus on the other.

The browser or CLI sends first {"argv", "terminal", "rows", "columns"} as text; then binary frames are input, and text frames are
{"kind": "resize", "rows", "columns"}, {"kind": "eof"}, {"kind": "kill"}. It gets output as binary frames and at last
{"kind": "exit", "code": n}, or {"kind": "problem", "message", "resolution"}. With `?one_off=1` the command gets a box of its own.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from typing import Any
from urllib.parse import parse_qs

from asgiref.sync import sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from pydantic import BaseModel, Field, ValidationError

from sitewright.bus.base import Subscription
from sitewright.bus.messages import Ack, ExecOpen, StreamChunk
from sitewright.bus.subjects import stream_in, stream_out
from sitewright.domain.channel import PRODUCTION
from sitewright.domain.events import EventKind, as_told
from sitewright.domain.identity import new_id
from sitewright.domain.names import ProcessType
from sitewright.domain.states import Role
from sitewright.errors import EngineError, SitewrightError
from sitewright.manager.accounts.models import User
from sitewright.manager.api.sockauth import socket_person
from sitewright.manager.audit.services import noted, trail
from sitewright.manager.bus import BusThread, NodeClient
from sitewright.manager.runtime import runtime
from sitewright.manager.sites.access import channel_for
from sitewright.manager.sites.models import Channel
from sitewright.manager.sites.protection import check_files

log = logging.getLogger(__name__)

PING_SECONDS = 10.0
SILENCE_SECONDS = 30.0
OPEN_SECONDS = 15.0
ONE_OFF_SECONDS = 60.0
"""A box of its own has to be started first."""
WAITING_CHUNKS = 32
PIECE_BYTES = 32 * 1024

UNAUTHENTICATED, FORBIDDEN, BAD_REQUEST, FAILED, NORMAL = 4401, 4403, 4400, 4500, 1000


class Opening(BaseModel):
    """The first frame."""

    argv: tuple[str, ...] = Field(min_length=1, max_length=200)
    terminal: bool = False
    rows: int = Field(24, ge=1, le=1000)
    columns: int = Field(80, ge=1, le=1000)


class TerminalConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One session. Output is taken from the bus no faster than the socket takes it."""

    async def connect(self) -> None:
        """Let in who may; what they want to run comes in the first frame."""
        self.session = ""
        self.sequence = 0
        self.tasks: list[asyncio.Task[None]] = []
        self.subscription: Subscription | None = None
        self.output: asyncio.Queue[StreamChunk] = asyncio.Queue(WAITING_CHUNKS)
        user = await sync_to_async(socket_person)(self.scope)
        if user is None:
            await self.close(UNAUTHENTICATED)
            return
        try:
            query = parse_qs(self.scope["query_string"].decode("latin-1"))
            asked = (self.scope["url_route"]["kwargs"]["name"], Role.DEVELOPER, query.get("channel", [PRODUCTION])[0])
            self.channel: Channel = await sync_to_async(channel_for)(user, *asked)
            await sync_to_async(check_files)(user, self.channel)
            self.process = str(ProcessType(query.get("process", ["web"])[0]))
            self.one_off = query.get("one_off", ["0"])[0] in {"1", "true"}
        except SitewrightError:
            await self.close(FORBIDDEN)
            return
        self.user: User = user
        self.client = NodeClient(runtime().bus, self.channel.node)
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """A frame from the person."""
        try:
            if not self.session:
                await self._open(text_data or "")
            elif bytes_data is not None:
                await self._input(bytes_data)
            elif text_data is not None:
                await self._control(text_data)
        except SitewrightError as error:
            await self._fail(error)

    async def disconnect(self, code: int) -> None:  # noqa: ARG002 - the contract
        """Whatever the reason: the command ends with its socket."""
        for task in self.tasks:
            if task is not asyncio.current_task():
                task.cancel()
        if not self.session:
            return
        thread = self.client.thread
        try:
            await thread.join(self._publish(StreamChunk(kind="kill", sequence=self._next())))
        except SitewrightError:
            log.info("exec.kill_untold", extra={"session": self.session})
        if self.subscription is not None:
            await thread.join(self.subscription.close())
        await sync_to_async(noted)(self.channel.site_id, EventKind.EXEC_CLOSED, "A command or terminal ended.", self.user)

    async def _open(self, text: str) -> None:
        try:
            opening = Opening.model_validate_json(text)
        except ValidationError:
            await self.close(BAD_REQUEST)
            return
        session = new_id()
        thread = self.client.thread
        self.subscription = await thread.join(self._subscribe(thread, session, asyncio.get_running_loop()))
        where = {"channel_id": self.channel.id, "process": self.process, "one_off": self.one_off}
        question = ExecOpen(session=session, **where, **opening.model_dump())
        answer = await self.client.ask_soon("exec.open", question, Ack, ONE_OFF_SECONDS if self.one_off else OPEN_SECONDS)
        if answer.problem:
            raise EngineError("The command could not be started.", details=answer.problem)
        self.session = session
        await sync_to_async(self._note)(opening)
        self.tasks = [asyncio.create_task(self._pump()), asyncio.create_task(self._ping())]

    async def _subscribe(self, thread: BusThread, session: str, loop: asyncio.AbstractEventLoop) -> Subscription:
        """Runs in the bus's loop; each chunk waits until there is room in the queue of the socket's *loop*."""

        async def heard(_subject: str, chunk: StreamChunk) -> None:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self.output.put(chunk), loop))

        return await thread.bus.subscribe(stream_out(self.channel.node, session), StreamChunk, heard)

    def _note(self, opening: Opening) -> None:
        """The program's name only: arguments may hold secrets."""
        what = "A terminal" if opening.terminal else "A command"
        what += " in a box of its own" if self.one_off else ""
        noted(self.channel.site_id, EventKind.EXEC_OPENED, f"{what} was opened: {as_told(opening.argv[0])}", self.user)
        trail(self.user, "exec.opened", self.channel.site_id, self.channel.site.name, program=as_told(opening.argv[0]))

    async def _pump(self) -> None:
        """Output, until the command ends or its node falls silent."""
        try:
            while True:
                async with asyncio.timeout(SILENCE_SECONDS):
                    chunk = await self.output.get()
                if chunk.kind == "data":
                    await self.send(bytes_data=base64.b64decode(chunk.data))
                elif chunk.kind == "exit":
                    await self.send(text_data=json.dumps({"kind": "exit", "code": chunk.code}))
                    await self.close(NORMAL)
                    return
        except TimeoutError:
            await self._fail(EngineError("The node has fallen silent; the command was ended.", resolution="Try again."))

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_SECONDS)
            try:
                await self._say(StreamChunk(kind="ping", sequence=self._next()))
            except SitewrightError:
                log.info("exec.ping_untold", extra={"session": self.session})

    async def _input(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE_BYTES):
            piece = base64.b64encode(data[start : start + PIECE_BYTES]).decode()
            await self._say(StreamChunk(kind="data", data=piece, sequence=self._next()))

    async def _control(self, text: str) -> None:
        try:
            asked: Any = json.loads(text)
            kind = asked["kind"]
            if kind not in {"resize", "eof", "kill"}:
                raise ValueError
            rows, columns = int(asked.get("rows", 0)), int(asked.get("columns", 0))
        except (ValueError, KeyError, TypeError, AttributeError):
            await self.close(BAD_REQUEST)
            return
        await self._say(StreamChunk(kind=kind, rows=rows, columns=columns, sequence=self._next()))

    async def _say(self, chunk: StreamChunk) -> None:
        await self.client.thread.join(self._publish(chunk))

    async def _publish(self, chunk: StreamChunk) -> None:
        await self.client.thread.bus.publish(stream_in(self.channel.node, self.session), chunk)

    async def _fail(self, error: SitewrightError) -> None:
        body = {"kind": "problem", "message": error.message, "details": error.details, "resolution": error.resolution}
        await self.send(text_data=json.dumps(body))
        await self.close(FAILED)

    def _next(self) -> int:
        self.sequence += 1
        return self.sequence
