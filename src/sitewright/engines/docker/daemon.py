"""The door to one Docker Engine: requests in, JSON or streams out, its errors turned into ours."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import aiodocker
import aiohttp

from sitewright.errors import EngineError

ANSWER_SECONDS = 60.0
SWITCHING_PROTOCOLS = 101
NOT_FOUND = 404
NOT_MODIFIED = 304
CONFLICT = 409
NO_CONNECTION = 900
"""What aiodocker gives as a status when there was no connection."""


class DaemonError(EngineError):
    """The Docker Engine refused or did not answer."""

    def __init__(self, message: str, *, status: int = 0, details: str = "", resolution: str = "") -> None:
        self.status = status
        super().__init__(message, details=details, resolution=resolution)


@contextlib.contextmanager
def _asking(what: str) -> Iterator[None]:
    try:
        yield
    except aiodocker.DockerError as error:
        if error.status >= NO_CONNECTION:
            raise _silent(what, str(error.message)) from error
        raise DaemonError(f"The Docker Engine refused: {what}.", status=error.status, details=str(error.message)) from error
    except (aiohttp.ClientError, asyncio.IncompleteReadError, OSError, TimeoutError) as error:
        raise _silent(what, str(error) or type(error).__name__) from error


def _silent(what: str, details: str) -> DaemonError:
    return DaemonError(
        f"The Docker Engine does not answer ({what}).",
        details=details,
        resolution="Check that it runs: systemctl status docker. What runs in containers is not touched.",
    )


class Daemon:
    """One Docker Engine on this machine, reached over its unix socket."""

    def __init__(self, host: str) -> None:
        if not host.startswith("unix://"):
            raise EngineError(
                f"The docker engine needs a Docker Engine on this machine, but SITEWRIGHT_DOCKER_HOST is “{host}”.",
                details="Visitors reach instances through unix sockets in folders that both share.",
                resolution="Give the path of a local one: unix:///var/run/docker.sock.",
            )
        self.socket = Path(host.removeprefix("unix://"))
        self._client: aiodocker.Docker | None = None

    @property
    def _docker(self) -> aiodocker.Docker:
        if self._client is None:
            # Every followed log holds a connection, so there must be no upper bound on them. The host in the address means nothing.
            connector = aiohttp.UnixConnector(str(self.socket), limit=0)
            self._client = aiodocker.Docker(url="unix://localhost", connector=connector)
        return self._client

    async def close(self) -> None:
        """Let go of every connection."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()
            await client.connector.close()

    async def ask(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: Any = None, timeout: float | None = ANSWER_SECONDS
    ) -> Any:
        """One request; *timeout* in seconds, None for a long poll. Raises DaemonError with the status when it is refused, 0 when nobody
        answers."""
        with _asking(f"{method} /{path}"):
            return await self._docker._query_json(
                path,
                method,
                params=dict(params or {}),
                data=None if body is None else json.dumps(body),
                timeout=aiohttp.ClientTimeout(total=timeout),
            )

    async def find(self, path: str) -> Any:
        """What a GET of *path* answers; None when there is no such thing."""
        try:
            return await self.ask("GET", path)
        except DaemonError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    async def ask_leniently(self, method: str, path: str, *, params: Mapping[str, str] | None = None) -> None:
        """Do something that is fine when it is done already (304, 409) or has no object any more (404)."""
        try:
            await self.ask(method, path, params=params)
        except DaemonError as error:
            if error.status not in {NOT_FOUND, NOT_MODIFIED, CONFLICT}:
                raise

    async def load(self, path: str, params: Mapping[str, str], tar: bytes) -> None:
        """POST an archive and read the answer to its end."""
        with _asking(f"POST /{path}"):
            async with self._docker._query(
                path, "POST", params=dict(params), data=tar, headers={"Content-Type": "application/x-tar"}
            ) as response:
                await response.read()

    async def find_with(self, path: str, params: Mapping[str, str]) -> Any:
        """The same as ``find``, with parameters."""
        try:
            return await self.ask("GET", path, params=params)
        except DaemonError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    @contextlib.asynccontextmanager
    async def upload(self, path: str, params: Mapping[str, str], tar: BinaryIO | None) -> AsyncIterator[AsyncIterator[bytes]]:
        """POST an archive, or nothing, and read the answer as it comes. Leaving the block breaks the connection. Raises DaemonError."""
        with _asking(f"POST /{path}"):
            async with self._docker._query(
                path,
                "POST",
                params=dict(params),
                data=tar,
                headers={"Content-Type": "application/x-tar"},
                timeout=aiohttp.ClientTimeout(total=None, sock_read=None),
            ) as response:
                try:
                    yield response.content.iter_any()
                finally:
                    response.close()

    @contextlib.asynccontextmanager
    async def stream(self, path: str, params: Mapping[str, str]) -> AsyncIterator[aiohttp.StreamReader]:
        """A long answer, to be read as it comes. Raises DaemonError, also from the block when the connection breaks."""
        with _asking(f"GET /{path}"):
            async with self._docker._query(
                path, "GET", params=dict(params), timeout=aiohttp.ClientTimeout(total=None, sock_read=None)
            ) as response:
                try:
                    yield response.content
                finally:
                    response.close()

    async def hijack(self, path: str, body: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """POST and keep the connection as a plain stream in both directions. Raises DaemonError."""
        await self.ask("GET", "version")  # agrees on the version of the API
        content = json.dumps(body).encode()
        head = f"POST /{self._docker.api_version}/{path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        with _asking(f"POST /{path}"):
            reader, writer = await asyncio.open_unix_connection(str(self.socket))
            writer.write(head.encode() + content)
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await reader.readuntil(b"\r\n\r\n")
        status = int(answer.split(b" ", 2)[1])
        if status != SWITCHING_PROTOCOLS:
            details = (await reader.read(2000)).decode(errors="replace")
            writer.close()
            raise DaemonError(f"The Docker Engine refused: POST /{path}.", status=status, details=details)
        return reader, writer

    def process(self) -> int:
        """The pid of whoever listens on the daemon's socket; it has the daemon's network namespace. Raises OSError."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(self.socket))
            credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid, _, _ = struct.unpack("3i", credentials)
        return int(pid)
