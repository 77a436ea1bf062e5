"""Serving git's protocol: one box a connection, its input and output over the bus."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sitewright.bus.base import Bus
from sitewright.bus.messages import Ack, GitOpen, GitService
from sitewright.bus.streams import ByteStream, near_end
from sitewright.bus.subjects import is_session
from sitewright.commands.git_repository import HOOK_FOLDER, Protocol, Serving, serve
from sitewright.config.settings import Settings
from sitewright.engines.base import Conversation, Mount
from sitewright.errors import InvalidValueError, QuotaError, SitewrightError
from sitewright.repository.box import Box, Boxes
from sitewright.repository.place import Place, Places
from sitewright.repository.pushes import Pushes
from sitewright.system.clock import Clock

log = logging.getLogger(__name__)

MOST_OF_A_SITE = 8
MOST_OF_A_PERSON = 24
"""Whatever site they are with: whoever has many sites shall not keep everybody else out."""
MOST_IN_ALL = 48
LONGEST_SECONDS = 3600.0
IDLE_SECONDS = 600.0
"""Without a byte in either direction: a client may compress for minutes before it sends, but not for ever."""
LOOK_SECONDS = 15.0


@dataclass(eq=False)
class _Session:
    request: GitOpen
    place: Place
    moved_at: float
    task: asyncio.Task[None] | None = None
    ended: bool = False
    opened: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class GitSessions:
    """Connections of git clients on this node."""

    def __init__(self, settings: Settings, bus: Bus, clock: Clock, boxes: Boxes, places: Places) -> None:
        self._settings = settings
        self._bus = bus
        self._clock = clock
        self._boxes = boxes
        self._places = places
        self.pushes = Pushes(settings, bus, clock)
        self._sessions: dict[str, _Session] = {}
        self._measuring: set[asyncio.Task[int]] = set()

    def __len__(self) -> int:
        return len(self._sessions)

    def busy(self, site_id: str) -> bool:
        """Whether somebody is connected to that site's repository."""
        return any(session.request.site_id == site_id for session in self._sessions.values())

    async def open(self, request: GitOpen) -> Ack:
        """Begin to serve; the far end listens already. Raises InvalidValueError, QuotaError, EngineError."""
        place = self._check(request)
        session = _Session(request, place, self._clock.steady())
        self._sessions[request.session] = session
        session.task = asyncio.create_task(self._serve(session), name=f"git-{request.session}")
        await asyncio.shield(session.opened)
        return Ack()

    def _check(self, request: GitOpen) -> Place:
        if not is_session(request.session) or request.session in self._sessions:
            raise InvalidValueError("This is not a new session's id.")
        place = self._places.of(request.site_id, request.number)
        of_site = sum(session.request.site_id == request.site_id for session in self._sessions.values())
        of_person = sum(session.request.user_id == request.user_id for session in self._sessions.values())
        if of_site >= MOST_OF_A_SITE or of_person >= MOST_OF_A_PERSON or len(self._sessions) >= MOST_IN_ALL:
            raise QuotaError("Too many git connections are open.", resolution="Wait until another one has ended, and try again.")
        return place

    async def _serve(self, session: _Session) -> None:
        code = -1
        stream: ByteStream | None = None
        try:
            async with contextlib.AsyncExitStack() as stack:
                box = await self._box(session, stack)
                stream = await near_end(self._bus, self._settings.node, session.request.session)
                stack.push_async_callback(stream.close)
                talk = await stack.enter_async_context(self._boxes.conversing(session.place, box))
                stream.killed = lambda: self._drop(session)
                session.opened.set_result(None)
                code = await self._pass_on(session, talk, stream)
                await stream.exit(code)
        except SitewrightError as error:
            log.info("git.session_failed", extra={"session": session.request.session, "site": session.place.site_id, "reason": str(error)})
            if not session.opened.done():
                session.opened.set_exception(error)
        except OSError as error:
            log.warning("git.session_failed", extra={"session": session.request.session, "reason": str(error)})
            if not session.opened.done():
                session.opened.set_exception(QuotaError("The repository could not be opened.", details=str(error)))
        finally:
            if not session.opened.done():
                session.opened.set_exception(InvalidValueError("The session was ended before it began."))
            self._sessions.pop(session.request.session, None)

    async def _box(self, session: _Session, stack: contextlib.AsyncExitStack) -> Box:
        request, place = session.request, session.place
        self._places.make(place)
        pushing = request.service is GitService.RECEIVE_PACK
        mounts: tuple[Mount, ...] = ()
        most = 0
        if pushing:
            most = self._places.most_bytes - await self._places.size(place, fresh=False)
            if most <= 0 and not request.advertise:
                raise QuotaError(
                    f"The repository takes the {self._settings.repository_mb} MB that it may.",
                    resolution="Remove large files from its history, or ask for more room.",
                )
        if pushing and not request.advertise:
            folder = await stack.enter_async_context(self.pushes.listening(request, place.uid))
            mounts = (Mount(folder, HOOK_FOLDER),)
            stack.callback(self._measure, place)
        argv = serve(Serving(request.service.value, request.stateless, request.advertise, max(most, 1) if pushing else 0))
        env = (("GIT_PROTOCOL", Protocol(request.protocol)),)
        return Box(argv, env, mounts, writable=pushing, seconds=LONGEST_SECONDS, most_file_bytes=most if pushing else 0)

    def _measure(self, place: Place) -> None:
        """What it takes now, for the next push."""
        task = asyncio.create_task(self._places.size(place), name="repository-size")
        self._measuring.add(task)
        task.add_done_callback(self._measuring.discard)

    async def _pass_on(self, session: _Session, talk: Conversation, stream: ByteStream) -> int:
        """Carry bytes in both directions until git has ended; its exit code."""
        incoming = asyncio.create_task(self._carry(session, stream.read, talk.write, end=True))
        # Lost input is not the end of input: git must not take half a pack for a whole one.
        incoming.add_done_callback(lambda done: self._drop(session) if not done.cancelled() and done.exception() else None)
        watch = asyncio.create_task(self._watch(session))
        try:
            await asyncio.gather(self._carry(session, talk.read, stream.write), self._carry(session, talk.read_error, stream.write_error))
            return (await talk.wait()).code
        finally:
            watch.cancel()
            incoming.cancel()
            await asyncio.gather(watch, incoming, return_exceptions=True)

    async def _carry(
        self,
        session: _Session,
        read: Callable[[], Awaitable[bytes]],
        write: Callable[[bytes], Awaitable[None]],
        *,
        end: bool = False,
    ) -> None:
        while data := await read():
            session.moved_at = self._clock.steady()
            await write(data)
            session.moved_at = self._clock.steady()
        if end:
            await write(b"")

    async def _watch(self, session: _Session) -> None:
        """End a client that neither sends nor reads."""
        while self._clock.steady() - session.moved_at < IDLE_SECONDS:  # noqa: ASYNC110 - bytes move far more often than this looks
            await asyncio.sleep(LOOK_SECONDS)
        log.info("git.session_idle", extra={"session": session.request.session, "site": session.place.site_id})
        self._drop(session)

    def _drop(self, session: _Session) -> None:
        """The client is gone: git ends with it. What a push has begun goes on elsewhere."""
        if not session.ended and session.task is not None:
            session.ended = True
            session.task.cancel()

    async def close(self) -> None:
        """End all of them."""
        tasks = [session.task for session in list(self._sessions.values()) if session.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._measuring, return_exceptions=True)
