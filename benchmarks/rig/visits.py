"""A visitor with one kept connection, quick enough to see when an answer changes."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from typing import Any


class Visitor:
    """Requests to one host name on a port of loopback."""

    def __init__(self, port: int, host: str, headers: dict[str, str] | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Host": host, **(headers or {})}

    def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body."""
        try:
            self._connection.request(method, path, body or None, self._headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (ConnectionError, http.client.HTTPException):
            self._connection.close()
            return 0, b""

    def await_text(self, text: bytes, *, seconds: float = 120.0, pause: float = 0.002) -> None:
        """Return when the first page holds *text*. Raises TimeoutError."""
        self._await(lambda _status, body: text in body, repr(text), seconds, pause)

    def await_status(self, wanted: int, *, seconds: float = 60.0, pause: float = 0.002) -> None:
        """Return when the first page has that status. Raises TimeoutError."""
        self._await(lambda status, _body: status == wanted, str(wanted), seconds, pause)

    def _await(self, enough: Callable[[int, bytes], bool], what: str, seconds: float, pause: float) -> None:
        deadline = time.monotonic() + seconds
        while not enough(*self.request("GET", "/")):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._headers['Host']} did not show {what} within {seconds:.0f} s")
            time.sleep(pause)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


class Api(Visitor):
    """The platform's API on a kept connection, with the machine's own token."""

    def __init__(self, port: int, host: str, token: str) -> None:
        super().__init__(port, host, {"Authorization": f"Bearer {token}"})

    def call(self, method: str, path: str, body: dict[str, Any] | bytes = b"") -> dict[str, Any]:
        """The answer's JSON; *path* is below /api/v1. Raises AssertionError for a refusal."""
        self._headers["Content-Type"] = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        status, text = self.request(method, f"/api/v1{path}", body if isinstance(body, bytes) else json.dumps(body).encode())
        assert 200 <= status < 300, f"{method} {path}: {status} {text[:500]!r}"
        answer: dict[str, Any] = json.loads(text) if text else {}
        return answer
