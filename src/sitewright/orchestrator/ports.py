"""A connection to a port of a running instance, for `ssh -L`.

The site's own $PORT is where its visitors come in: the engine's socket leads there, in whatever way the app listens. Any other port is
reached from inside, by a small program that runs there as the tenant's own user.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from sitewright.domain.processes import Listen
from sitewright.engines.base import Engine, ExecSession, Exit, Observed, TerminalSize
from sitewright.errors import ConflictError

CONNECT_SECONDS = 5.0
READ_BYTES = 64 * 1024
TAKEN = b"+"
RELAY = """
import os, selectors, socket, sys
port = int(sys.argv[1])
def connect():
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            there = socket.socket(family)
            there.connect((host, port))
            return there
        except OSError:
            pass
    sys.exit(3)
there = connect()
os.write(1, b"+")
look = selectors.DefaultSelector()
look.register(0, selectors.EVENT_READ)
look.register(there, selectors.EVENT_READ)
while True:
    for key, _ in look.select():
        if key.fileobj == 0:
            data = os.read(0, 65536)
            if data:
                there.sendall(data)
            else:
                look.unregister(0)
                there.shutdown(socket.SHUT_WR)
        else:
            data = there.recv(65536)
            if not data:
                sys.exit(0)
            while data:
                data = data[os.write(1, data):]
"""


def relay_argv(port: int) -> tuple[str, ...]:
    """The program inside; its first byte says that the connection is there."""
    return ("/usr/bin/python3", "-I", "-S", "-c", RELAY, str(port))


async def open_port(engine: Engine, target: Observed, port: int) -> ExecSession:
    """Connect. Raises ConflictError when nobody listens there."""
    if port == target.spec.port and target.spec.listen in {Listen.FD, Listen.PORT, Listen.SOCKET}:
        return await _by_socket(target.spec.socket, port)
    inside = await engine.exec(target.spec.id, relay_argv(port), None)
    first = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CONNECT_SECONDS):
            first = await inside.read()
    if first[:1] != TAKEN:
        await inside.kill()
        raise _nobody(port)
    return _Begun(inside, first[1:])


async def _by_socket(path: Path, port: int) -> ExecSession:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_unix_connection(str(path))
    except (OSError, TimeoutError) as error:
        raise _nobody(port) from error
    return SocketTalk(reader, writer)


def _nobody(port: int) -> ConflictError:
    return ConflictError(f"Nothing listens on port {port} of this site.", resolution="Its own port is $PORT, 8000.")


class SocketTalk:
    """A connection as a session: what comes from it is its output."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._ended = asyncio.Event()

    async def read(self) -> bytes:
        """The next of it; b"" at the end."""
        try:
            data = await self._reader.read(READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self._ended.set()
        return data

    async def read_error(self) -> bytes:
        """Nothing."""
        return b""

    async def write(self, data: bytes) -> None:
        """Send it; b"" says that nothing more comes."""
        with contextlib.suppress(OSError, RuntimeError):
            if data:
                self._writer.write(data)
                await self._writer.drain()
            else:
                self._writer.write_eof()

    async def resize(self, size: TerminalSize) -> None:
        """A connection has no size."""

    async def wait(self) -> Exit:
        """Wait until the other side has closed it."""
        await self._ended.wait()
        return Exit(0)

    async def kill(self) -> None:
        """Close it."""
        self._ended.set()
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


class _Begun:
    """A session of which a first piece was read already."""

    def __init__(self, inner: ExecSession, first: bytes) -> None:
        self._inner, self._first = inner, first
        self.read_error, self.write, self.resize = inner.read_error, inner.write, inner.resize
        self.wait, self.kill = inner.wait, inner.kill

    async def read(self) -> bytes:
        """The first piece, then the others."""
        first, self._first = self._first, b""
        return first or await self._inner.read()
