"""Commands that run beside an instance: its terminal, its one-offs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import AsyncIterator
from pathlib import Path

from sitewright.engines.base import Exit, TerminalSize
from sitewright.engines.docker.daemon import Daemon, DaemonError
from sitewright.engines.docker.logs import frames

MARK = "SITEWRIGHT_EXEC"
POLL_SECONDS = (0.02, 0.25)
RESIZE_ATTEMPTS = 20
END_OF_INPUT = b"\x04"
CHUNK = 64 * 1024
WHEN_SIZED = (
    "/bin/sh",
    "-c",
    'i=0; while [ $i -lt 500 ] && [ "$(stty size)" = "0 0" ]; do i=$((i+1)); done; exec "$@"',
    "sh",
)
"""Runs the arguments that follow once the terminal has a size: the daemon takes it only after the start, and programs look once."""
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class DockerExec:
    """One command running beside an instance; see ``ExecSession``. Made by ``start_exec``."""

    def __init__(self, daemon: Daemon, exec_id: str, connection: Connection, *, mark: str, terminal: bool) -> None:
        self._daemon = daemon
        self._path = f"exec/{exec_id}"
        self._reader, self._writer = connection
        self._mark = mark
        self._terminal = terminal
        self._output = self._raw() if terminal else frames(self._reader)

    async def _raw(self) -> AsyncIterator[bytes]:
        while chunk := await self._reader.read(CHUNK):
            yield chunk

    async def read(self) -> bytes:
        """The next output, up to 64 KiB (the daemon's frames are 32 KiB at most); b"" once it has ended."""
        try:
            async for chunk in self._output:
                if chunk:
                    return chunk
        except OSError:
            pass
        self.close()
        return b""

    async def read_error(self) -> bytes:
        """Nothing: it is part of the output."""
        return b""

    async def write(self, data: bytes) -> None:
        """Give it input; b"" closes its input. Input for one that has ended is dropped."""
        with contextlib.suppress(OSError, RuntimeError):
            if data or self._terminal:
                self._writer.write(data or END_OF_INPUT)
                await self._writer.drain()
            elif self._writer.can_write_eof():
                self._writer.write_eof()

    async def resize(self, size: TerminalSize) -> None:
        """Tell its terminal the new size."""
        if not self._terminal:
            return
        for _ in range(RESIZE_ATTEMPTS):  # the daemon answers before the process is there
            try:
                await self._daemon.ask("POST", f"{self._path}/resize", params={"h": str(size.rows), "w": str(size.columns)})
                return
            except DaemonError:
                if not await self._is_starting():
                    return
                await asyncio.sleep(POLL_SECONDS[0])

    async def _is_starting(self) -> bool:
        seen = await self._daemon.find(f"{self._path}/json")
        return bool(seen and (seen["Running"] or seen["ExitCode"] is None))

    async def wait(self) -> Exit:
        """Wait until it has ended; code -1 when the daemon no longer knows."""
        pause = POLL_SECONDS[0]
        while True:
            seen = await self._daemon.find(f"{self._path}/json")
            if seen is None:
                return Exit(-1)
            if not seen["Running"] and seen["ExitCode"] is not None:
                return Exit(int(seen["ExitCode"]) & 0xFF)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, POLL_SECONDS[1])

    async def kill(self) -> None:
        """End everything that carries this session's mark, also what has left its parent."""
        await asyncio.to_thread(kill_marked, self._mark)
        self.close()

    @property
    def closed(self) -> bool:
        """Whether its connection was freed."""
        return self._writer.is_closing()

    def close(self) -> None:
        """Free the connection. What runs goes on."""
        self._writer.close()


def kill_marked(mark: str) -> None:
    """SIGKILL every process whose environment holds ``SITEWRIGHT_EXEC=<mark>``, until there is none. Docker has no call for this."""
    line = f"{MARK}={mark}".encode()
    for _ in range(50):
        found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _carries(entry, line)]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _carries(entry: Path, line: bytes) -> bool:
    try:
        return line in (entry / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


async def start_exec(
    daemon: Daemon, container: str, argv: tuple[str, ...], *, user: str, workdir: str, terminal: TerminalSize | None
) -> DockerExec:
    """Run *argv* in *container*. Raises EngineError when that is not running."""
    mark = secrets.token_hex(16)
    body = {
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": terminal is not None,
        "Privileged": False,
        "User": user,
        "WorkingDir": workdir,
        "Cmd": [*(WHEN_SIZED if terminal else ()), *argv],
        "Env": [f"{MARK}={mark}", *(("TERM=xterm-256color",) if terminal else ())],
    }
    made = await daemon.ask("POST", f"containers/{container}/exec", body=body)
    connection = await daemon.hijack(f"exec/{made['Id']}/start", {"Detach": False, "Tty": terminal is not None})
    session = DockerExec(daemon, made["Id"], connection, mark=mark, terminal=terminal is not None)
    if terminal is not None:
        await session.resize(terminal)
    return session
