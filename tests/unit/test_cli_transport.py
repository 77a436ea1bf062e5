"""The command line's own HTTP against a server of the standard library."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sitewright.cli.place import Place
from sitewright.cli.transport import Connection, Request


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    connections: set[tuple[str, int]]

    def log_message(self, *_: object) -> None:
        pass

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.path == "/only-first" and self.client_address in self.connections:
            self.close_connection = True
            return
        self.connections.add(self.client_address)
        if self.path == "/last":
            self.close_connection = True
        if self.path != "/lines":
            self._say(200, f"{self.headers['Host']} {self.path}".encode())
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in (b"one\ntw", b"o\n"):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def do_POST(self) -> None:
        if self.path == "/refused":
            self.close_connection = True
            self._say(413, b"too large")
            return
        received = b""
        while size := int(self.rfile.readline(), 16):
            received += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        self._say(201, received)


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    handler = type("Handler", (_Handler,), {"connections": set()})
    made = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def connection(server: ThreadingHTTPServer) -> Iterator[Connection]:
    made = Connection(Place("http://sitewright.localhost:8000", "", f"127.0.0.1:{server.server_address[1]}"))
    yield made
    made.close()


def get(path: str) -> Request:
    return Request("GET", path, {}, silence=5.0)


def test_the_host_is_the_platforms_wherever_the_connection_goes(connection: Connection) -> None:
    assert connection.ask(get("/me")) == (200, b"sitewright.localhost:8000 /me")


def test_questions_share_a_connection_until_the_other_side_closes_it(connection: Connection, server: ThreadingHTTPServer) -> None:
    for path in ("/a", "/b", "/last", "/c"):
        assert connection.ask(get(path))[0] == 200
    assert len(server.RequestHandlerClass.connections) == 2  # type: ignore[attr-defined]


def test_a_kept_connection_that_is_closed_just_then_is_made_anew(connection: Connection, server: ThreadingHTTPServer) -> None:
    for path in ("/a", "/only-first"):
        assert connection.ask(get(path))[0] == 200
    assert len(server.RequestHandlerClass.connections) == 2  # type: ignore[attr-defined]


def test_a_body_in_pieces_arrives_whole(connection: Connection) -> None:
    assert connection.ask(Request("POST", "/uploads", {}, iter([b"one ", b"two"]), 5.0)) == (201, b"one two")


def test_a_refusal_is_heard_although_the_body_was_not_wanted(connection: Connection) -> None:
    pieces = (b"x" * 65536 for _ in range(400))
    assert connection.ask(Request("POST", "/refused", {}, pieces, 5.0))[0] == 413


def test_a_stream_is_read_line_by_line(connection: Connection) -> None:
    with connection.listen(get("/lines")) as answer:
        assert list(answer) == [b"one\n", b"two\n"]


def test_the_proxy_of_the_environment_is_asked_for_other_addresses(server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    connection = Connection(Place("http://sites.example.org"))
    assert connection.ask(get("/me")) == (200, b"sites.example.org http://sites.example.org/me")
    connection.close()
