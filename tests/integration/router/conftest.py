"""A real nginx with the product's own configuration, a routing table, and small apps behind unix sockets."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer

import pytest

from sitewright.config.settings import Settings
from sitewright.domain.identity import new_id
from sitewright.domain.route import ChannelRoute
from sitewright.router import RouteTable, launch
from sitewright.system.accounts import is_root
from sitewright.up.prepare import ensure_accounts

DEADLINE_SECONDS = 20.0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(condition: Callable[[], object], what: str) -> None:
    """Wait until *condition* holds; fail after the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_SECONDS:.0f} s: {what}"
        time.sleep(0.02)


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class AppServer(ThreadingMixIn, UnixStreamServer):
    """An app on a unix socket."""

    daemon_threads = True
    request_queue_size = 4096

    def get_request(self):
        request, _ = super().get_request()
        return request, ("unix", 0)

    def handle_error(self, request, client_address):
        """A visitor who has gone away is no news."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@dataclass
class App:
    """A running app; ``requests`` are (method, path, headers, body) as it saw them."""

    socket: Path
    server: AppServer
    requests: list[tuple[str, str, http.client.HTTPMessage, bytes]] = field(default_factory=list)

    def stop(self) -> None:
        """End it like a killed process: nobody listens, the socket's file stays."""
        self.server.shutdown()
        self.server.server_close()


Handler = Callable[[BaseHTTPRequestHandler, bytes], None]


def answer(handler: BaseHTTPRequestHandler, body: bytes = b"ok", status: int = 200, headers: dict[str, str] | None = None) -> None:
    """Send a whole answer."""
    handler.send_response(status)
    for name, value in {"Content-Type": "text/plain", "Content-Length": str(len(body)), **(headers or {})}.items():
        handler.send_header(name, value)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


class Router:
    """nginx, its table, and a client."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(home=folder / "home", run=folder / "run", http_port=free_port(), domain="example.test")
        launch.prepare_folders(self.settings)
        launch.write_config(self.settings)
        self.table = RouteTable(self.settings.paths)
        self.table.complete()
        self.apps: list[App] = []
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = (self.folder / "nginx.out").open("ab")
        self.process = subprocess.Popen(
            launch.nginx_argv(self.settings), start_new_session=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        log.close()
        eventually(self.listens, f"nginx listens; it said: {(self.folder / 'nginx.out').read_text()}")

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.settings.http_port)) == 0

    def end(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for app in self.apps:
            app.stop()

    def public(self, name: str, **files: str) -> Path:
        """A folder of files; `__` in a name stands for a folder, `_` before the last part for its dot."""
        root = self.folder / "sites" / name
        root.mkdir(parents=True, exist_ok=True)
        for key, text in files.items():
            path = root / key.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return root

    def route(self, *hosts: str, channel: str = "", **more) -> str:
        """Set a route; returns the channel's id."""
        channel = channel or new_id()
        self.table.set(ChannelRoute(channel_id=channel, hosts=hosts, **more))
        return channel

    def app(self, handle: Handler | None = None) -> App:
        """Start an app; without *handle* it answers 200 with its socket's name."""
        path = self.settings.paths.run / "i" / new_id() / "s"
        path.parent.mkdir(parents=True)

        class Requests(BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if length < 1_000_000 else b""
                app.requests.append((self.command, self.path, self.headers, body))
                if handle is None:
                    answer(self, str(path).encode())
                else:
                    handle(self, body)

            def log_message(self, *arguments) -> None:
                pass

        app = App(path, AppServer(str(path), Requests))
        path.chmod(0o666)
        threading.Thread(target=app.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.apps.append(app)
        return app

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.settings.http_port, timeout=30)

    def request(self, method: str, host: str, path: str = "/", headers: dict[str, str] | None = None, body: bytes | None = None) -> Answer:
        """One request on a connection of its own."""
        connection = self.connect()
        try:
            connection.request(method, path, body=body, headers={"Host": host, **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, host: str, path: str = "/", **headers: str) -> Answer:
        """GET; underscores in header names stand for hyphens."""
        return self.request("GET", host, path, {name.replace("_", "-"): value for name, value in headers.items()})

    def raw(self, data: bytes) -> bytes:
        """Send bytes as they are; everything that comes back until the router closes."""
        with socket.create_connection(("127.0.0.1", self.settings.http_port), timeout=30) as connection:
            connection.sendall(data)
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
        return b"".join(parts)

    def workers(self) -> list[int]:
        """Process ids of nginx's workers."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def log(self, name: str) -> str:
        return (self.settings.paths.logs / name).read_text()


@pytest.fixture(scope="module")
def router() -> Iterator[Router]:
    """One nginx for the module; tests use host names of their own."""
    if is_root():
        ensure_accounts()
    folder = Path(tempfile.mkdtemp(prefix="swr"))
    folder.chmod(0o755)
    started = Router(folder)
    try:
        started.start()
        yield started
    finally:
        started.end()
        shutil.rmtree(folder, ignore_errors=True)
