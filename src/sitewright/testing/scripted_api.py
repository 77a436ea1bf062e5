"""A platform that answers the command line's requests from a function, without a network."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from sitewright.cli.transport import Answer, Request


@dataclass
class Reply:
    """A status and a body."""

    status: int
    body: bytes = b""

    @classmethod
    def of(cls, value: Any, status: int = 200) -> Reply:
        """*value* as JSON."""
        return cls(status, json.dumps(value).encode())

    def read(self) -> bytes:
        """The whole body."""
        return self.body

    def __iter__(self) -> Iterator[bytes]:
        yield from self.body.splitlines(keepends=True)


@dataclass(frozen=True)
class Asked:
    """A request as it came: the path decoded, the query as a mapping, JSON bodies parsed."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class ScriptedApi:
    """A transport for sitewright.cli.client.Client; what it was asked stays in ``asked``."""

    answer: Callable[[Asked], Reply]
    asked: list[Asked] = field(default_factory=list)

    def ask(self, request: Request) -> tuple[int, bytes]:
        """See sitewright.cli.transport.Transport."""
        reply = self._reply(request)
        return reply.status, reply.body

    @contextlib.contextmanager
    def listen(self, request: Request) -> Iterator[Answer]:
        """See sitewright.cli.transport.Transport."""
        yield self._reply(request)

    def close(self) -> None:
        """Nothing is open."""

    def _reply(self, request: Request) -> Reply:
        parts = urlsplit(request.target)
        content = request.body if isinstance(request.body, bytes) else b"".join(request.body)
        headers = dict(request.headers)
        body = json.loads(content) if headers.get("Content-Type") == "application/json" else content
        asked = Asked(request.method, unquote(parts.path), dict(parse_qsl(parts.query)), headers, body)
        self.asked.append(asked)
        return self.answer(asked)
