"""The wake socket, played by the test."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from .conftest import AppServer


class Gate:
    """Answers on the wake socket with what ``answer(host, patience)`` returns; ``asked`` lists the questions."""

    def __init__(self, path: Path, answer: Callable[[str, str], int]) -> None:
        self.asked: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        gate = self

        class Questions(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host, patience = self.headers["X-Sitewright-Host"], self.headers["X-Sitewright-Patience"]
                gate.asked.append((host, patience))
                gate.headers.append({name.lower(): value for name, value in self.headers.items()})
                self.send_response_only(answer(host, patience))
                self.end_headers()

            def log_message(self, *arguments) -> None:
                pass

        path.unlink(missing_ok=True)
        self.path = path
        self.server = AppServer(str(path), Questions)
        path.chmod(0o666)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.path.unlink(missing_ok=True)
