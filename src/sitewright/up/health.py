"""Waiting until a part answers, with a deadline."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sitewright.config.settings import Settings
from sitewright.errors import UnavailableError

LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared, not bound


def connect_address(settings: Settings) -> str:
    """The address on which this machine itself reaches the router."""
    return LOOPBACK.get(settings.http_address, settings.http_address)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: status and the first 64 KiB of its body."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body as JSON, {} when it is not."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}


def get(settings: Settings, host: str, path: str, timeout: float = 5.0) -> Answer:
    """GET http://host/path from this machine's own router, without DNS. Raises OSError or HTTPException."""
    connection = http.client.HTTPConnection(connect_address(settings), settings.http_port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Host": urlsplit(settings.url(host)).netloc})
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(65536))
    finally:
        connection.close()


def answers(settings: Settings, host: str, path: str, status: int = 200) -> bool:
    """Whether a GET gives that status now."""
    try:
        return get(settings, host, path).status == status
    except (OSError, http.client.HTTPException):
        return False


def wait_for(what: str, ready: Callable[[], bool], seconds: float, resolution: str) -> None:
    """Ask every 50 ms until it is ready. Raises UnavailableError after *seconds*."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise UnavailableError(f"{what} did not answer within {seconds:.0f} s.", resolution=resolution)
        time.sleep(0.05)
