"""A visitor of a site on this machine, for acceptance tests: HTTP and web sockets by name without DNS, and the CLI.

An acceptance story is a folder with `app/` (what is deployed), an optional `prepare` (makes what should not be committed, run in a copy
of `app/`) and `verify`, a script that ends with 0 when the running site is as it should be. It gets its site by ``site_from_environment``.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect


@dataclass(frozen=True)
class VisitedSite:
    """A deployed site: ``host`` as a browser names it, ``port`` on loopback, ``source`` the deployed folder, ``cli`` the CLI's argv."""

    name: str
    host: str
    port: int
    source: str
    cli: tuple[str, ...]

    @property
    def authority(self) -> str:
        """What stands in the Host header."""
        return self.host if self.port == 80 else f"{self.host}:{self.port}"

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request on a connection of its own; redirects are not followed."""
        headers = {"host": self.authority, **options.pop("headers", {})}
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=options.pop("timeout", 30.0)) as client:
            return client.request(method, path, headers=headers, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        """POST."""
        return self.request("POST", path, **options)

    def websocket(self, path: str) -> ClientConnection:
        """An open web socket."""
        return connect(f"ws://{self.authority}{path}", sock=socket.create_connection(("127.0.0.1", self.port), timeout=10))

    def sitewright(self, *arguments: str) -> str:
        """Run the CLI as the machine's own user; returns its output. Raises AssertionError with everything it said when it fails."""
        done = subprocess.run([*self.cli, *arguments], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL, check=False)
        assert done.returncode == 0, f"sitewright {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def eventually(self, condition: Callable[[], bool], seconds: float = 30.0) -> bool:
        """Whether *condition* holds within *seconds*."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return True
            time.sleep(0.1)
        return False


def site_from_environment() -> VisitedSite:
    """The site that the story's runner names in VERIFY_NAME, VERIFY_HOST, VERIFY_PORT, VERIFY_SOURCE and VERIFY_CLI."""
    return VisitedSite(
        name=os.environ["VERIFY_NAME"],
        host=os.environ["VERIFY_HOST"],
        port=int(os.environ["VERIFY_PORT"]),
        source=os.environ["VERIFY_SOURCE"],
        cli=tuple(os.environ["VERIFY_CLI"].split("\x1f")),
    )
