"""What the contract suite of engines works with: a lab, the commands it runs, and waiting for what must come.

Commands are lines for /bin/sh; those that listen need python3 in the stack. Conditions are waited for with a deadline, never slept for.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeVar

from sitewright.domain.limits import MIB, Limits
from sitewright.domain.processes import Listen
from sitewright.engines.base import Engine, EngineState, Exit, InstanceSpec, JobSpec, Observed

T = TypeVar("T")

DEADLINE_SECONDS = 30.0
FOREVER = "exec sleep 600"
SMALL = Limits(memory_bytes=128 * MIB, pids=32)

LISTENS = {
    Listen.PORT: "exec python3 -m http.server $PORT",
    Listen.FD: (
        "exec python3 -c 'import socket, http.server as h\n"
        "class S(h.HTTPServer): address_family = socket.AF_UNIX\n"
        "s = S((), h.SimpleHTTPRequestHandler, bind_and_activate=False); s.socket = socket.socket(fileno=3)\n"
        'h.SimpleHTTPRequestHandler.address_string = lambda self: "router"\n'
        "s.serve_forever()'"
    ),
    Listen.SOCKET: (
        "exec python3 -c 'import os, socket, socketserver, http.server as h\n"
        'h.SimpleHTTPRequestHandler.address_string = lambda self: "router"\n'
        "os.umask(0o77)\n"
        'socketserver.UnixStreamServer(os.environ["SOCKET"], h.SimpleHTTPRequestHandler).serve_forever()\''
    ),
}
"""A small HTTP server for each way of listening."""


class Lab(Protocol):
    """What a test module gives: an open engine and values that fit it."""

    engine: Engine
    output: dict[str, bytearray]
    """What the sink was given, by instance or job id."""
    folder: Path
    """A folder of the host that instances see, writable, as /app."""

    def instance(
        self, command: str = FOREVER, *, listen: Listen = Listen.NONE, limits: Limits = SMALL, env: tuple[tuple[str, str], ...] = ()
    ) -> InstanceSpec:
        """A spec with an id of its own."""
        ...

    def job(self, command: str, *, timeout: float = DEADLINE_SECONDS, limits: Limits = SMALL) -> JobSpec:
        """A job with an id of its own."""
        ...

    async def reopen(self, *, meanwhile: Callable[[], Awaitable[None]] | None = None) -> Engine:
        """Close the engine, let *meanwhile* happen, and open a new object on the same run folder; it is ``engine`` from now on."""
        ...


async def until(condition: Callable[[], Awaitable[T]], what: str, seconds: float = DEADLINE_SECONDS) -> T:
    """Ask until the answer is true; it. Fails with *what* when the deadline has passed."""
    deadline = time.monotonic() + seconds
    while True:
        answer = await condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"did not happen in {seconds:.0f} s: {what}"
        await asyncio.sleep(0.01)


async def seen(engine: Engine, instance_id: str) -> Observed | None:
    """What the engine observes of that instance."""
    return next((each for each in await engine.observe() if each.spec.id == instance_id), None)


async def exit_of(lab: Lab, instance_id: str) -> Exit:
    """Wait until it has ended; how."""

    async def ended() -> Exit | None:
        found = await seen(lab.engine, instance_id)
        return found.exit if found is not None and found.state is EngineState.EXITED else None

    result = await until(ended, f"{instance_id} ends; it wrote {bytes(lab.output.get(instance_id, b''))!r}")
    assert result is not None
    return result


async def says(lab: Lab, name: str, text: bytes) -> None:
    """Wait until its output holds *text*."""

    async def said() -> bool:
        return text in lab.output.get(name, b"")

    await until(said, f"{name} writes {text!r}")


async def end(lab: Lab, instance_id: str) -> None:
    """Stop and forget it."""
    await lab.engine.stop(instance_id, 1)
    await lab.engine.remove(instance_id)


def get(path: Path, target: str = "/") -> int:
    """The status of an HTTP answer over the unix socket at *path*; 0 when nobody answers."""
    connection = http.client.HTTPConnection("localhost", timeout=5)
    try:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(5)
        connection.sock.connect(str(path))
        connection.request("GET", target)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


async def everything(read: Callable[[], Awaitable[bytes]]) -> bytes:
    """What it reads until its end."""
    output = b""
    while piece := await read():
        output += piece
    return output
