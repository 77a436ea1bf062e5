"""Channels that are asleep: the request that wakes one is served, whatever it carries."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import closing

import pytest
from websockets.sync.client import connect
from websockets.sync.server import unix_serve

from sitewright.domain.identity import new_id
from sitewright.domain.route import Affinity, Presence

from .conftest import answer
from .gate import Gate

BROWSER = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture
def waker(router):
    """Start a gate that gives a sleeping host its sockets, as the orchestrator does."""
    gates = []

    def start(host: str, sockets, **route) -> Gate:
        channel = new_id()
        router.route(host, channel=channel, presence=Presence.ASLEEP, **route)

        def wake(asked: str, _patience: str) -> int:
            assert asked == host
            router.route(host, channel=channel, sockets=sockets, **route)
            return 204

        gates.append(Gate(router.settings.paths.wake_socket, wake))
        return gates[-1]

    yield start
    for gate in gates:
        gate.__exit__()


def echo_body(handler, body):
    answer(handler, body, headers={"X-Method": handler.command})


@pytest.mark.parametrize(
    ("method", "body"),
    [("GET", None), ("HEAD", None), ("POST", b"a=1"), ("POST", b"x" * 900_000), ("PUT", b"y" * 70_000), ("DELETE", None)],
)
def test_the_request_that_wakes_a_site_is_served_with_its_body(router, waker, method, body):
    app = router.app(echo_body)
    host = f"wake-{method.lower()}-{len(body or b'')}.example.test"
    gate = waker(host, (app.socket,))
    got = router.request(method, host, "/a%2Fb?c=d", body=body)
    assert (got.status, got.body) == (200, b"" if method == "HEAD" else body or b"")
    assert [(seen[0], seen[1], seen[3]) for seen in app.requests] == [(method, "/a%2Fb?c=d", body or b"")]
    assert gate.asked == [(host, "client")]
    assert router.request(method, host, body=body).status == 200
    assert len(gate.asked) == 1


@pytest.mark.parametrize("chunked", [False, True])
def test_a_long_body_streams_to_the_app_that_it_woke(router, waker, chunked):
    total = 3_000_000
    digest = []

    def count(handler, _body):
        received = 0
        if chunked:
            while size := int(handler.rfile.readline(), 16):
                received += len(handler.rfile.read(size))
                handler.rfile.readline()
            handler.rfile.readline()
        else:
            received = len(handler.rfile.read(total))
        digest.append(received)
        answer(handler, str(received).encode())

    app = router.app(count)
    host = f"wake-long-{chunked}.example.test".lower()
    waker(host, (app.socket,))
    with closing(router.connect()) as connection:
        body = iter([b"z" * 100_000] * 30) if chunked else b"z" * total
        connection.request("POST", "/", body=body, headers={"Host": host}, encode_chunked=chunked)
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, str(total).encode())


def test_a_web_socket_wakes_a_site(router, waker):
    def echo(connection) -> None:
        for message in connection:
            connection.send(message)

    path = router.settings.paths.run / "i" / "wakews"
    server = unix_serve(echo, str(path))
    path.chmod(0o666)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    gate = waker("wakews.example.test", (path,))
    with connect("ws://wakews.example.test/chat", sock=socket.create_connection(("127.0.0.1", router.settings.http_port))) as client:
        client.send("hello")
        assert client.recv(timeout=20) == "hello"
    assert gate.asked == [("wakews.example.test", "client")]
    server.shutdown()


def test_a_browser_is_told_apart_from_a_program(router, waker):
    app = router.app()
    for number, (method, headers, patience) in enumerate(
        [("GET", BROWSER, "browser"), ("GET", {"Accept": "*/*"}, "client"), ("POST", BROWSER, "client"), ("GET", {}, "client")]
    ):
        host = f"patience{number}.example.test"
        gate = waker(host, (app.socket,))
        assert router.request(method, host, headers=headers).status == 200
        assert gate.asked == [(host, patience)]


def test_files_of_a_sleeping_site_are_served_without_waking_it(router, waker):
    app = router.app()
    public = router.public("sleepy", style_css="b{}", docs__index_html="docs", asleep="mine", x_php="source")
    (public / ".env").write_text("secret")
    gate = waker("sleepy.example.test", (app.socket,), public=public)
    assert router.get("sleepy.example.test", "/style.css").text == "b{}"
    assert router.get("sleepy.example.test", "/docs/").text == "docs"
    assert router.get("sleepy.example.test", "/asleep").text == "mine"
    assert not gate.asked
    assert router.get("sleepy.example.test", "/.env").text == str(app.socket)
    assert len(gate.asked) == 1


@pytest.mark.parametrize("path", ["/x.php", "/.env", "/", "/style.css/", "/docs"])
def test_what_is_no_file_wakes(router, waker, path):
    app = router.app()
    public = router.public("sleepy2", style_css="b{}", docs__index_html="docs", x_php="source")
    host = f"wakes-{path.strip('/.').replace('.', '-')}.example.test".replace("-.", ".")
    gate = waker(host, (app.socket,), public=public)
    assert router.get(host, path).text == str(app.socket)
    assert len(gate.asked) == 1


@pytest.mark.parametrize(
    ("verdict", "headers", "status", "code", "retry"),
    [
        (401, BROWSER, 503, "This site is waking up", "1"),
        (401, {}, 503, "late", "2"),
        (403, BROWSER, 502, "This site does not answer", None),
        (403, {}, 502, "crashed", None),
        (404, BROWSER, 404, "There is no site here", None),
        (404, {}, 404, "unknown", None),
        (500, BROWSER, 503, "This site is waking up", "1"),
        (500, {}, 503, "late", "2"),
    ],
)
def test_what_the_orchestrator_says_is_told(router, verdict, headers, status, code, retry):
    router.route("verdict.example.test", presence=Presence.ASLEEP)
    with Gate(router.settings.paths.wake_socket, lambda _host, _patience: verdict):
        got = router.request("GET", "verdict.example.test", headers=headers)
    assert (got.status, got.headers["retry-after"]) == (status, retry)
    if headers:
        assert code in got.text
        assert ('http-equiv="refresh" content="1"' in got.text) == (code == "This site is waking up")
    else:
        assert json.loads(got.body)["code"] == code


@pytest.mark.parametrize(("method", "headers", "name"), [("GET", BROWSER, "waking"), ("GET", {}, "late"), ("POST", BROWSER, "late")])
def test_without_an_orchestrator_a_visitor_is_told_to_come_again(router, method, headers, name):
    router.settings.paths.wake_socket.unlink(missing_ok=True)
    router.route("nonode.example.test", presence=Presence.ASLEEP)
    got = router.request(method, "nonode.example.test", headers=headers, body=b"x" if method == "POST" else None)
    assert got.status == 503
    assert got.headers["retry-after"] == ("1" if name == "waking" else "2")
    assert ("waking up" in got.text) == (name == "waking")


def test_a_question_whose_answerer_dies_is_asked_again(router):
    app = router.app()
    channel = new_id()
    router.route("killed.example.test", channel=channel, presence=Presence.ASLEEP)
    listener = socket.socket(socket.AF_UNIX)
    path = router.settings.paths.wake_socket
    path.unlink(missing_ok=True)
    listener.bind(str(path))
    path.chmod(0o666)
    listener.listen(16)

    def die_once_then_answer() -> None:
        first, _ = listener.accept()
        first.recv(4096)
        first.close()
        second, _ = listener.accept()
        second.recv(4096)
        router.route("killed.example.test", channel=channel, sockets=(app.socket,))
        second.sendall(b"HTTP/1.0 204 No Content\r\n\r\n")
        second.close()

    threading.Thread(target=die_once_then_answer, daemon=True).start()
    with closing(listener):
        assert router.request("POST", "killed.example.test", body=b"once").text == str(app.socket)
    assert [body for *_, body in app.requests] == [b"once"]
    path.unlink()


def dead(router):
    """A socket on which nobody listens any more."""
    app = router.app()
    app.stop()
    return app.socket


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("POST", b"x" * 900_000), ("PUT", b"y" * 300_000)])
@pytest.mark.parametrize("affinity", [Affinity.NONE, Affinity.COOKIE])
@pytest.mark.parametrize("instances", [1, 2])
def test_who_has_just_gone_is_woken_and_the_request_sent_again_whole(router, method, body, affinity, instances):
    app = router.app(echo_body)
    host = f"race-{method}-{affinity}-{instances}.example.test".lower()
    channel = router.route(host, sockets=tuple(dead(router) for _ in range(instances)), affinity=affinity)

    def wake(_host: str, _patience: str) -> int:
        router.route(host, channel=channel, sockets=(app.socket,), affinity=affinity)
        return 204

    with Gate(router.settings.paths.wake_socket, wake) as gate:
        got = router.request(method, host, "/x?y", body=body)
    assert (got.status, got.body) == (200, body or b"")
    assert [(seen[0], seen[1], seen[3]) for seen in app.requests] == [(method, "/x?y", body or b"")]
    assert gate.asked == [(host, "client")]


def test_it_is_asked_once_and_then_the_page_is_shown(router):
    public = router.public("hopeless", style_css="b{}")
    for affinity in Affinity:
        router.route("hopeless.example.test", sockets=(dead(router), dead(router)), public=public, affinity=affinity)
        for path in ("/none", "/.env"):
            with Gate(router.settings.paths.wake_socket, lambda _host, _patience: 204) as gate:
                got = router.request("POST", "hopeless.example.test", path, {"Accept": "text/html"}, b"x" * 1000)
            assert (got.status, "does not answer" in got.text) == (502, True)
            assert len(gate.asked) == 1


@pytest.mark.parametrize("path", ["/none", "/.env"])
def test_one_that_sleeps_again_before_it_was_asked_is_woken_again_and_is_not_called_crashed(router, path):
    public = router.public("again", style_css="b{}")
    router.route("again.example.test", presence=Presence.ASLEEP, public=public, affinity=Affinity.COOKIE)
    with Gate(router.settings.paths.wake_socket, lambda _host, _patience: 204) as gate:
        got = router.request("GET", "again.example.test", path, headers=BROWSER)
    assert (got.status, "waking up" in got.text) == (503, True)
    assert len(gate.asked) == 2


def test_a_site_without_a_process_or_a_file_shows_what_it_is_not_an_error(router):
    router.route("bare.example.test", presence=Presence.RUNNING)
    assert "is starting" in router.request("GET", "bare.example.test", headers=BROWSER).text


def test_whoever_goes_away_is_no_longer_waited_for(router):
    """The orchestrator sees that the connection ends, and lets go."""
    router.route("impatient.example.test", presence=Presence.ASLEEP)
    path = router.settings.paths.wake_socket
    path.unlink(missing_ok=True)
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen(16)
        visitor = socket.create_connection(("127.0.0.1", router.settings.http_port))
        visitor.sendall(b"GET / HTTP/1.1\r\nHost: impatient.example.test\r\n\r\n")
        question, _ = listener.accept()
        assert question.recv(4096).startswith(b"GET / HTTP/1")
        visitor.close()
        question.settimeout(20)
        assert question.recv(1) == b""
        question.close()
    path.unlink()


@pytest.mark.parametrize("presence", [Presence.CRASHED, Presence.STOPPED])
def test_nobody_wakes_what_is_stopped_or_has_crashed(router, presence):
    router.route("dead.example.test", sockets=(dead(router),), presence=presence)
    with Gate(router.settings.paths.wake_socket, lambda _host, _patience: 204) as gate:
        assert router.get("dead.example.test").status in {502, 503}
    assert not gate.asked


def test_a_long_body_that_nobody_took_is_told_to_come_again(router):
    router.route("unsent.example.test", sockets=(dead(router),))
    with Gate(router.settings.paths.wake_socket, lambda _host, _patience: 204) as gate:
        got = router.request("POST", "unsent.example.test", body=b"x" * 1_200_000)
    assert (got.status, got.headers["retry-after"]) == (503, "2")
    assert json.loads(got.body)["code"] == "late"
    assert not gate.asked


def test_an_app_cannot_fake_a_wake_and_a_visitor_cannot_either(router):
    app = router.app(lambda handler, _body: answer(handler, b"mine", 401, {"X-Accel-Redirect": "/../wake", "Location": "/../wake"}))
    router.route("fake.example.test", sockets=(app.socket,))
    with Gate(router.settings.paths.wake_socket, lambda _host, _patience: 204) as gate:
        got = router.get("fake.example.test", X_Sitewright_Host="other.example.test", X_Sitewright_Patience="browser")
        assert (got.status, got.text) == (401, "mine")
        for path in ("/../wake", "/%2e%2e/wake", "/..%2fwake", "/x/../../wake"):
            assert router.get("fake.example.test", path).status in {400, 401}
    assert not gate.asked
    assert not [name for _, _, headers, _ in app.requests for name in headers if name.lower().startswith("x-sitewright")]


def test_a_visitors_own_headers_do_not_reach_the_orchestrator(router, waker):
    app = router.app()
    gate = waker("forged.example.test", (app.socket,))
    router.get("forged.example.test", X_Sitewright_Host="victim.example.test", X_Sitewright_Patience="browser", Cookie="secret=1")
    assert gate.asked == [("forged.example.test", "client")]
    assert set(gate.headers[0]) == {"host", "connection", "x-request-id", "x-sitewright-host", "x-sitewright-patience"}


def test_fifty_visitors_at_once_are_all_served(router):
    app = router.app()
    channel = router.route("crowd.example.test", presence=Presence.ASLEEP)
    everybody = threading.Barrier(50)

    def wake(_host: str, _patience: str) -> int:
        everybody.wait(20)
        router.route("crowd.example.test", channel=channel, sockets=(app.socket,))
        return 204

    answers: list[int] = []
    with Gate(router.settings.paths.wake_socket, wake):
        threads = [threading.Thread(target=lambda: answers.append(router.get("crowd.example.test").status)) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert answers == [200] * 50
