"""Dynamic sites: what reaches the app, what comes back, what happens when an instance is gone."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from websockets.sync.client import connect
from websockets.sync.server import unix_serve

from .conftest import answer, eventually


def test_an_app_gets_the_request_as_the_visitor_sent_it(router):
    app = router.app()
    router.route("raw.example.test", sockets=(app.socket,))
    router.request("POST", f"RAW.example.test:{router.settings.http_port}", "/a%2Fb//c?x=%20&y=%C3%A4", body=b"hello")
    method, path, headers, body = app.requests[-1]
    assert (method, path, body) == ("POST", "/a%2Fb//c?x=%20&y=%C3%A4", b"hello")
    assert headers["host"] == f"raw.example.test:{router.settings.http_port}"


def test_an_app_can_believe_what_it_is_told_of_the_visitor(router):
    app = router.app()
    router.route("believe.example.test", sockets=(app.socket,))
    router.get(
        "believe.example.test",
        X_Forwarded_For="6.6.6.6",
        X_Forwarded_Proto="https",
        X_Forwarded_Host="bank.test",
        X_Real_IP="6.6.6.6",
        X_Request_Id="forged",
        Forwarded="for=6.6.6.6",
        Proxy="http://6.6.6.6",
        X_Forwarded_User="admin",
        X_Original_URL="/admin",
        X_Accel_Mapping="/=/",
        X_Sendfile_Type="X-Accel-Redirect",
    )
    headers = app.requests[-1][2]
    assert headers["x-forwarded-for"] == headers["x-real-ip"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-host"] == "believe.example.test"
    assert len(headers["x-request-id"]) == 32
    for name in ("forwarded", "proxy", "x-forwarded-user", "x-original-url", "x-accel-mapping", "x-sendfile-type"):
        assert name not in headers, name


def test_a_header_with_underscores_cannot_pass_for_one_with_hyphens(router):
    app = router.app()
    router.route("underscore.example.test", sockets=(app.socket,))
    router.request("GET", "underscore.example.test", headers={"X_Forwarded_For": "6.6.6.6"})
    assert "x_forwarded_for" not in app.requests[-1][2]


@pytest.mark.parametrize("status", [400, 403, 404, 405, 413, 418, 500, 502, 503, 504, 529, 580, 582])
def test_an_apps_own_error_answers_are_left_alone(router, status):
    app = router.app(lambda handler, _body: answer(handler, b"mine", status, {"Location": "/x"}))
    router.route("errors.example.test", sockets=(app.socket,))
    got = router.get("errors.example.test")
    assert (got.status, got.text) == (status, "mine")


def test_public_files_come_before_the_app_and_the_rest_goes_to_it(router):
    app = router.app()
    folder = router.public("mixed", style_css="b{}", docs__index_html="docs", x_php="source")
    router.route("mixed.example.test", public=folder, sockets=(app.socket,))
    assert router.get("mixed.example.test", "/style.css").text == "b{}"
    assert router.get("mixed.example.test", "/docs/").text == "docs"
    for method, path in (
        ("GET", "/"),
        ("GET", "/docs"),
        ("POST", "/style.css"),
        ("PUT", "/style.css"),
        ("GET", "/x.php"),
        ("GET", "/.env"),
    ):
        assert router.request(method, "mixed.example.test", path).text == str(app.socket), (method, path)


@pytest.mark.parametrize("target", ["/etc/passwd", "/../stopped.html", "/", "@silent", "/static/x"])
def test_an_app_cannot_steer_nginx(router, target):
    headers = {"X-Accel-Redirect": target, "X-Sendfile": "/etc/passwd", "X-Accel-Limit-Rate": "1", "X-Accel-Charset": "koi8-r"}
    app = router.app(lambda handler, _body: answer(handler, b"own body" * 100, headers=headers))
    router.route("steer.example.test", sockets=(app.socket,), public=router.public("steer", a_txt="a"))
    got = router.get("steer.example.test", "/any")
    assert (got.status, got.body) == (200, b"own body" * 100)
    assert "x-accel-redirect" not in got.headers


def test_an_app_cannot_set_a_cookie_for_its_neighbours(router):
    cookies = {"Set-Cookie": "id=1; Domain=.Example.TEST; Path=/; HttpOnly"}
    app = router.app(lambda handler, _body: answer(handler, headers=cookies))
    router.route("cookie.example.test", sockets=(app.socket,))
    assert router.get("cookie.example.test").headers["set-cookie"].lower() == "id=1; domain=cookie.example.test; path=/; httponly"
    for domain in ("test", "example.test"):
        cookies["Set-Cookie"] = f"id=1; domain={domain}"
        assert router.get("cookie.example.test").headers["set-cookie"] == "id=1; domain=cookie.example.test"
    cookies["Set-Cookie"] = "id=1; domain=cookie.example.test"
    assert router.get("cookie.example.test").headers["set-cookie"] == cookies["Set-Cookie"]


def test_two_instances_share_the_requests(router):
    apps = [router.app(), router.app()]
    router.route("share.example.test", sockets=tuple(app.socket for app in apps))
    seen = Counter(router.get("share.example.test").text for _ in range(200))
    assert set(seen) == {str(app.socket) for app in apps}
    assert min(seen.values()) > 50


@pytest.mark.parametrize("count", [2, 3])
def test_when_one_instance_has_died_no_request_fails(router, count):
    apps = [router.app() for _ in range(count)]
    router.route(f"dead{count}.example.test", sockets=tuple(app.socket for app in apps))
    apps[0].stop()
    for number in range(100):
        body = b"x" * number * 1000
        got = router.request("POST" if number % 2 else "GET", f"dead{count}.example.test", body=body if number % 2 else None)
        assert got.status == 200
        assert got.text != str(apps[0].socket)
    assert all(body == b"x" * len(body) for app in apps[1:] for _, _, _, body in app.requests)
    assert max(len(body) for app in apps[1:] for _, _, _, body in app.requests) == 99_000


def test_a_request_that_an_app_has_seen_is_never_sent_twice(router):
    def die(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        handler.connection.shutdown(socket.SHUT_RDWR)

    apps = [router.app(die), router.app(die)]
    router.route("once.example.test", sockets=tuple(app.socket for app in apps))
    got = router.request("POST", "once.example.test", headers={"Accept": "text/html"}, body=b"pay")
    assert got.status == 502
    assert "does not answer" in got.text
    assert sum(len(app.requests) for app in apps) == 1


def test_a_stream_arrives_as_it_is_written(router):
    more = threading.Event()

    def stream(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        handler.wfile.write(b"data: one\n\n")
        assert more.wait(20)
        handler.wfile.write(b"data: two\n\n")

    app = router.app(stream)
    router.route("events.example.test", sockets=(app.socket,))
    with closing(router.connect()) as connection:
        connection.request("GET", "/", headers={"Host": "events.example.test"})
        response = connection.getresponse()
        assert response.readline() == b"data: one\n"
        more.set()
        assert response.read() == b"\ndata: two\n\n"


def test_web_sockets_pass_both_ways(router):
    def echo(connection) -> None:
        for message in connection:
            connection.send(message)

    path = router.settings.paths.run / "i" / "ws"
    server = unix_serve(echo, str(path))
    path.chmod(0o666)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    router.route("ws.example.test", sockets=(path,))
    with connect("ws://ws.example.test/chat", sock=socket.create_connection(("127.0.0.1", router.settings.http_port))) as client:
        for message in ("hello", b"\0" * 300_000):
            client.send(message)
            assert client.recv(timeout=20) == message
    server.shutdown()


def resident_kib(router) -> int:
    """Memory of nginx's workers."""
    sizes = []
    for pid in router.workers():
        with Path(f"/proc/{pid}/status").open() as status:
            sizes += [int(line.split()[1]) for line in status if line.startswith("VmRSS")]
    return sum(sizes)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_streams_through_without_growing_nginx(router, chunked):
    total = 200_000_000
    seen: list[int] = []

    def count(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        received = 0
        if handler.headers.get("Transfer-Encoding"):
            while size := int(handler.rfile.readline(), 16):
                received += len(handler.rfile.read(size))
                handler.rfile.readline()
                seen.append(received)
        else:
            while received < int(handler.headers["Content-Length"]):
                received += len(handler.rfile.read1(1 << 20))
                seen.append(received)
        handler.rfile.read1(0)
        answer(handler, str(received).encode())

    app = router.app(count)
    router.route("large.example.test", sockets=(app.socket,))
    before = resident_kib(router)
    piece = b"\0" * (1 << 20)
    with closing(router.connect()) as connection:
        connection.putrequest("POST", "/", skip_host=True)
        connection.putheader("Host", "large.example.test")
        connection.putheader(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(total))))
        connection.endheaders()
        sent = 0
        while sent < total:
            part = piece[: total - sent]
            connection.send(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
            sent += len(part)
            if sent == len(piece) * 8:
                eventually(lambda: seen, "the app has the beginning before the visitor has sent the end")
        if chunked:
            connection.send(b"0\r\n\r\n")
        assert connection.getresponse().read() == str(total).encode()
    assert resident_kib(router) - before < 4096


def test_a_body_over_one_gib_is_refused_at_once(router):
    app = router.app()
    router.route("huge.example.test", sockets=(app.socket,))
    with closing(router.connect()) as connection:
        connection.putrequest("POST", "/", skip_host=True)
        for name, value in (("Host", "huge.example.test"), ("Accept", "text/html"), ("Content-Length", "1073741825")):
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        assert response.status == 413
        assert b"too large" in response.read()
    assert not app.requests


def test_an_old_client_without_http_1_1_is_served(router):
    app = router.app()
    router.route("old.example.test", sockets=(app.socket,))
    assert str(app.socket).encode() in router.raw(b"GET / HTTP/1.0\r\nHost: old.example.test\r\n\r\n")


def test_one_site_cannot_use_up_the_router(router):
    release = threading.Event()

    def hang(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        release.wait(30)
        answer(handler)

    app = router.app(hang)
    router.route("greedy.example.test", sockets=(app.socket,))
    router.route("modest.example.test", public=router.public("modest", index_html="fine"))
    held = []
    try:
        for _ in range(1100):
            visitor = socket.create_connection(("127.0.0.1", router.settings.http_port))
            visitor.sendall(b"GET / HTTP/1.1\r\nHost: greedy.example.test\r\n\r\n")
            held.append(visitor)
        eventually(lambda: router.get("greedy.example.test").status == 503, "the greedy site is told that it is busy")
        assert router.get("modest.example.test").text == "fine"
    finally:
        release.set()
        for visitor in held:
            visitor.close()
