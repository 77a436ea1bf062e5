"""One session of a visitor: bytes between the SSH channel and the node, in both directions no faster than they are taken."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections import deque
from typing import Any

from sitewright.bus.messages.doors import DoorOpen, DoorService
from sitewright.bus.streams import ANY_NODE, ByteStream, far_end
from sitewright.bus.subjects import DOOR, door_session
from sitewright.domain.identity import new_id
from sitewright.errors import SitewrightError, UnavailableError
from sitewright.ssh.asking import in_words
from sitewright.ssh.library import EXTENDED_DATA_STDERR, SSHServerChannel, SSHServerSession
from sitewright.ssh.limits import IDLE_SECONDS
from sitewright.ssh.visitor import Visitor
from sitewright.ssh.wish import GIT_USER, Wish, wish_of

log = logging.getLogger(__name__)

FAILED = 255
"""The exit code when it is the connection that ended, as OpenSSH's own."""
REFUSED = 1
HELD_BYTES = 1024 * 1024
"""Input that waits here before the client is told to wait."""
_TERM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,39}")
_LANGUAGE = re.compile(r"[A-Za-z0-9_.@-]{1,40}")
_PROTOCOL = re.compile(r"version=\d(:[a-z0-9=]+)*")


class Valve:
    """Bytes from a channel, for one reader; ``pause`` and ``go_on`` are the channel's."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._held = 0
        self._ended = self._lost = self._paused = False
        self._changed = asyncio.Event()
        self.channel: Any = None

    def put(self, data: bytes) -> None:
        """Some more."""
        self._waiting.append(data)
        self._held += len(data)
        self._changed.set()
        if self._held > HELD_BYTES and not self._paused:
            self._paused = True
            self.channel.pause_reading()

    def end(self) -> None:
        """No more."""
        self._ended = True
        self._changed.set()

    def lose(self) -> None:
        """Whoever sent it is gone. Unless they had said all, that is not the end: nobody shall take half of it for the whole."""
        self._lost = not self._ended
        self._changed.set()

    async def take(self) -> bytes:
        """All that has come; b"" at the end. Raises UnavailableError when it broke off."""
        while not self._waiting or self._lost:
            if self._lost:
                raise UnavailableError("The client is gone.")
            if self._ended:
                return b""
            self._changed.clear()
            await self._changed.wait()
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._held = 0
        if self._paused:
            self._paused = False
            self.channel.resume_reading()
        return data


async def pump_in(valve: Valve, stream: ByteStream) -> None:
    """Input, until it ends or nobody is there."""
    with contextlib.suppress(SitewrightError):
        while data := await valve.take():
            await stream.write(data)
        await stream.close_input()


class DoorSession(SSHServerSession[bytes]):
    """A shell, a command, git, SFTP."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._channel: SSHServerChannel[bytes] | None = None
        self._input = Valve()
        self._writable = asyncio.Event()
        self._writable.set()
        self._command: str | None = None
        self._subsystem: str | None = None
        self._terminal = False
        self._term = ""
        self._size = (24, 80)
        self._stream: ByteStream | None = None
        self._work: asyncio.Task[None] | None = None
        self._moved_at = 0.0

    # What the library calls

    def connection_made(self, chan: SSHServerChannel[bytes]) -> None:
        """The channel is there."""
        self._channel = self._input.channel = chan

    def pty_requested(self, term_type: str, term_size: tuple[int, int, int, int], term_modes: object) -> bool:  # noqa: ARG002
        """A terminal, but not for git."""
        if self._visitor.name == GIT_USER:
            return False
        self._terminal = True
        self._term = term_type if _TERM.fullmatch(term_type) else ""
        self.terminal_size_changed(*term_size)
        return True

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:  # noqa: ARG002
        """It was made larger or smaller."""
        self._size = (min(height, 1000) or 24, min(width, 1000) or 80)
        if self._stream is not None:
            self._visitor.spawn(self._resize(self._stream))

    def shell_requested(self) -> bool:
        """No command."""
        return True

    def exec_requested(self, command: str) -> bool:
        """A command."""
        self._command = command
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        """SFTP."""
        self._subsystem = subsystem
        return subsystem == "sftp"

    def session_started(self) -> None:
        """All is said; go."""
        self._work = self._visitor.spawn(self._run())

    def data_received(self, data: bytes, datatype: int | None) -> None:  # noqa: ARG002 - only one kind comes
        """Input."""
        self._moved()
        self._input.put(data)

    def eof_received(self) -> bool:
        """The end of the input; output goes on."""
        self._input.end()
        return True

    def signal_received(self, signal: str) -> None:
        """In a terminal INT is a key; everything else ends it."""
        if signal == "INT" and self._terminal:
            self._input.put(b"\x03")
        elif signal in {"INT", "TERM", "HUP", "KILL", "QUIT"} and self._stream is not None:
            self._visitor.spawn(self._stream.kill())

    def break_received(self, msec: int) -> bool:  # noqa: ARG002 - the contract
        """Nothing to break."""
        return False

    def pause_writing(self) -> None:
        """The client is slow."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the contract
        """The client is gone, or all was said."""
        self._input.lose()
        self._writable.set()
        if self._work is not None:
            self._work.cancel()

    # What is done

    async def _run(self) -> None:
        """From the wish to the exit code."""
        code = FAILED
        try:
            wish = wish_of(self._visitor.name, self._command, self._subsystem)
            code = self._greet() if wish is None else await self._serve(wish)
        except SitewrightError as error:
            self._tell(in_words(error))
            code = REFUSED
        except Exception:
            log.exception("door.session_failed")
            self._tell(b"sitewright: Something went wrong inside; the platform's log has the details.\r\n")
        finally:
            if self._channel is not None and not self._channel.is_closing():
                self._channel.exit(code)

    def _greet(self) -> int:
        assert self._channel is not None
        self._channel.write(self._visitor.greeting.format(who=self._visitor.email).encode())
        return 0

    def _tell(self, words: bytes) -> None:
        if self._channel is not None and not self._channel.is_closing():
            self._channel.write(words, EXTENDED_DATA_STDERR)

    async def _serve(self, wish: Wish) -> int:
        session = new_id()
        name = door_session(DOOR, session)
        stream = await far_end(self._visitor.bus, ANY_NODE, name)
        try:
            stream.found(await self._visitor.open(self._question(wish, session)), name)
            self._stream = stream
            return await self._converse(stream)
        finally:
            self._stream = None
            await asyncio.shield(self._visitor.spawn(stream.close()))

    def _question(self, wish: Wish, session: str) -> DoorOpen:
        assert self._channel is not None
        environment = self._channel.get_environment()
        protocol, language = environment.get("GIT_PROTOCOL", ""), environment.get("LANG", "")
        git = wish.service in {DoorService.GIT_READ, DoorService.GIT_WRITE}
        return DoorOpen(
            session=session,
            user_id=self._visitor.user_id,
            site=wish.site,
            service=wish.service,
            argv=wish.argv,
            terminal=self._terminal and wish.service is DoorService.SHELL,
            rows=self._size[0],
            columns=self._size[1],
            term=self._term,
            protocol=protocol if git and _PROTOCOL.fullmatch(protocol) else "",
            address=self._visitor.address,
            language=language if _LANGUAGE.fullmatch(language) else "",
        )

    async def _converse(self, stream: ByteStream) -> int:
        """Pump until it has ended and all was written."""
        self._moved()
        idle = self._visitor.spawn(self._watch(stream))
        feeding = self._visitor.spawn(pump_in(self._input, stream))
        pumps = [self._pump(stream.read, None), self._pump(stream.read_error, EXTENDED_DATA_STDERR)]
        both = [self._visitor.spawn(pump) for pump in pumps]
        try:
            await asyncio.gather(*both)
            code = await stream.wait()
        except SitewrightError as error:
            self._tell(in_words(error))
            return FAILED
        finally:
            idle.cancel()
            feeding.cancel()
            for one in both:
                one.cancel()
        return code if 0 <= code <= FAILED else FAILED

    async def _pump(self, read: Any, kind: int | None) -> None:
        assert self._channel is not None
        while data := await read():
            self._moved()
            await self._writable.wait()
            if self._channel.is_closing():
                return
            self._channel.write(data, kind)

    async def _resize(self, stream: ByteStream) -> None:
        with contextlib.suppress(SitewrightError):
            await stream.resize(*self._size)

    def _moved(self) -> None:
        self._moved_at = asyncio.get_running_loop().time()

    async def _watch(self, stream: ByteStream) -> None:
        """End a session in which nothing moves."""
        loop = asyncio.get_running_loop()
        while (left := self._moved_at + IDLE_SECONDS - loop.time()) > 0:  # noqa: ASYNC110 - it is the silence that counts
            await asyncio.sleep(left)
        self._tell(b"\r\nsitewright: Nothing was typed or shown for two hours; the session was ended.\r\n")
        await stream.kill()
