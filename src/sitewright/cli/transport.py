"""HTTP/1.1 to one platform with the standard library alone: importing a larger client takes longer than most commands do."""

from __future__ import annotations

import contextlib
import http.client
import os
import select
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from sitewright.cli.place import Place

CONNECT_SECONDS = 30.0
ANSWER_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Request:
    """One question. ``target`` is path and query; a body in pieces is sent as it comes; ``silence`` is how many seconds the other side
    may say nothing."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes | Iterable[bytes] = b""
    silence: float = ANSWER_SECONDS


class Answer(Protocol):
    """What came back; iterating gives its lines as they come, with their ends."""

    status: int

    def read(self) -> bytes:
        """The (rest of the) body."""
        ...

    def __iter__(self) -> Iterator[bytes]: ...


class Transport(Protocol):
    """Carries requests. Its methods raise OSError or http.client.HTTPException when there is no answer."""

    def ask(self, request: Request) -> tuple[int, bytes]:
        """The answer's status and its whole body."""
        ...

    def listen(self, request: Request) -> contextlib.AbstractContextManager[Answer]:
        """An answer that goes on for a while."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


class Connection:
    """The network. One connection is kept for questions; each stream has its own."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._url = urlsplit(place.url)
        self._proxy = None if place.connect else _proxy_for(self._url)
        self._kept: http.client.HTTPConnection | None = None

    def ask(self, request: Request) -> tuple[int, bytes]:
        """See ``Transport``."""
        connection = self._kept = self._usable(self._kept)
        reused = connection.sock is not None
        try:
            try:
                answer = self._send(connection, request)
            except http.client.RemoteDisconnected:
                # The other side closed the kept connection just then.
                if not (reused and _repeatable(request)):
                    raise
                connection.close()
                answer = self._send(connection, request)
            return answer.status, answer.read()
        except BaseException:
            connection.close()
            raise

    @contextlib.contextmanager
    def listen(self, request: Request) -> Iterator[Answer]:
        """See ``Transport``."""
        connection = self._made()
        try:
            yield self._send(connection, request)
        finally:
            connection.close()

    def close(self) -> None:
        """See ``Transport``."""
        if self._kept is not None:
            self._kept.close()

    def _usable(self, kept: http.client.HTTPConnection | None) -> http.client.HTTPConnection:
        """The kept connection unless the other side has closed it meanwhile, which shows as something to read."""
        if kept is None:
            return self._made()
        if kept.sock is not None and select.select([kept.sock], [], [], 0)[0]:
            kept.close()
        return kept

    def _made(self) -> http.client.HTTPConnection:
        secure = self._url.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        if self._place.connect:
            host, _, port = self._place.connect.rpartition(":")
            return kind(host.strip("[]"), int(port), timeout=CONNECT_SECONDS)
        host, number = self._url.hostname or "", self._url.port
        if self._proxy is None:
            return kind(host, number, timeout=CONNECT_SECONDS)
        connection = kind(self._proxy.hostname or "", self._proxy.port, timeout=CONNECT_SECONDS)
        if secure:
            connection.set_tunnel(host, number, headers=_proxy_headers(self._proxy))
        return connection

    def _send(self, connection: http.client.HTTPConnection, request: Request) -> http.client.HTTPResponse:
        target, headers = request.target, {"Host": self._url.netloc, **request.headers}
        if self._proxy is not None and self._url.scheme == "http":
            target, headers = self._place.url + target, {**headers, **_proxy_headers(self._proxy)}
        in_pieces = not isinstance(request.body, bytes)
        if in_pieces:
            headers["Transfer-Encoding"] = "chunked"
        if connection.sock is None:
            connection.connect()
        connection.sock.settimeout(request.silence)
        try:
            connection.request(request.method, target, request.body or None, headers, encode_chunked=in_pieces)
        except (BrokenPipeError, ConnectionResetError):
            # Whoever does not want a large body says so and closes; what was said can still be read.
            return connection.getresponse()
        return connection.getresponse()


def _repeatable(request: Request) -> bool:
    """Whether it does no harm to ask twice (RFC 9110, 9.2.2)."""
    known = request.method in {"GET", "HEAD", "PUT", "DELETE"} or "Idempotency-Key" in request.headers
    return known and isinstance(request.body, bytes)


def _proxy_for(url: SplitResult) -> SplitResult | None:
    """The proxy that the environment names for this address (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, less NO_PROXY)."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - only where there are proxies

    named = getproxies()
    proxy = named.get(url.scheme) or named.get("all")
    if not proxy or proxy_bypass(url.netloc):
        return None
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}")


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    import base64  # noqa: PLC0415

    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair).decode()}"}
