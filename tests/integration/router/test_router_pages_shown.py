"""What a visitor finds when no site answers, and requests that are not as they should be."""

from __future__ import annotations

import json
import re
import socket
from contextlib import closing

import pytest

from sitewright.domain.identity import new_id
from sitewright.domain.route import Presence

from .conftest import eventually
from .gate import Gate

CHANNELS = {presence: new_id() for presence in Presence}


@pytest.mark.parametrize(
    ("presence", "status", "words"),
    [
        (Presence.STOPPED, 503, "This site is stopped"),
        (Presence.STARTING, 503, "This site is starting"),
        (Presence.CRASHED, 502, "This site does not answer"),
        (Presence.RUNNING, 503, "This site is starting"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_each_state_without_an_instance_has_its_page(router, presence, status, words, method):
    host = f"{presence.value}.example.test"
    router.route(host, presence=presence, channel=CHANNELS[presence])
    for path in ("/", "/deep/path", "/x.php", "/.hidden"):
        page = router.request(method, host, path, {"Accept": "text/html,*/*"}, b"" if method == "GET" else b"body")
        assert page.status == status
        assert words in page.text
        assert page.headers["cache-control"] == "no-store"
        assert (page.headers["retry-after"] == "2") == (words == "This site is starting")
        assert ('http-equiv="refresh"' in page.text) == (words == "This site is starting")
        found = re.search("<code>([0-9a-f]{32})</code>", page.text)
        assert found is not None
        assert found[1] == page.headers["x-request-id"]


def test_a_program_gets_the_same_as_problem_json(router):
    router.route("program.example.test", presence=Presence.STOPPED)
    page = router.get("program.example.test", Accept="application/json")
    assert page.headers["content-type"].startswith("application/problem+json")
    problem = json.loads(page.body)
    assert (problem["status"], problem["code"], problem["title"]) == (503, "stopped", "This site is stopped")
    assert problem["request_id"] == page.headers["x-request-id"]


def test_a_stopped_site_shows_nothing_of_itself(router):
    app = router.app()
    router.route("quiet.example.test", presence=Presence.STOPPED, public=router.public("quiet", index_html="x"), sockets=(app.socket,))
    assert router.get("quiet.example.test").status == 503
    assert not app.requests


def test_a_static_site_refuses_methods_that_change_something(router):
    router.route("readonly.example.test", public=router.public("readonly", index_html="x"))
    for method in ("POST", "PUT", "DELETE"):
        assert router.request(method, "readonly.example.test", body=b"x").status == 405


def test_files_of_a_crashed_app_are_still_served(router):
    router.route("half.example.test", presence=Presence.CRASHED, public=router.public("half", logo_svg="<svg/>"))
    assert router.get("half.example.test", "/logo.svg").text == "<svg/>"
    assert router.get("half.example.test", "/other").status == 502


def test_when_the_only_instance_has_died_the_visitor_gets_the_page(router):
    app = router.app()
    router.route("alone.example.test", sockets=(app.socket,))
    app.stop()
    with Gate(router.settings.paths.wake_socket, lambda _host, _patience: 403):
        page = router.get("alone.example.test", Accept="text/html")
    assert (page.status, "does not answer" in page.text) == (502, True)
    page = router.get("alone.example.test", Accept="text/html")
    assert (page.status, "by itself in a moment" in page.text) == (503, True)


@pytest.mark.parametrize(
    "host",
    [
        "nobody.example.test",
        "127.0.0.1",
        "[::1]",
        "xn--bcher-kva.example.test",
        "h" * 81 + ".test",
        "a." * 130 + "test",
        "_",
        "c",
        ".v",
        "~",
    ],
)
def test_unknown_hosts_get_the_page_for_them(router, host):
    page = router.get(host, Accept="text/html")
    assert page.status == 404
    assert "There is no site here" in page.text


@pytest.mark.parametrize("host", ["..", "../c", "a/../b", "%2e%2e", "a\\b", "a b", "a..b", "a\x00b", "r/alice.example.test", "/etc"])
def test_a_host_name_cannot_lead_out_of_the_routing_table(router, host):
    got = router.raw(b"GET / HTTP/1.1\r\nHost: " + host.encode() + b"\r\nConnection: close\r\n\r\n")
    assert re.match(rb"HTTP/1.1 40[04] ", got), got[:40]


def test_a_request_without_a_host_gets_the_page_for_unknown_ones(router):
    got = router.raw(b"GET / HTTP/1.0\r\nAccept: text/html\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 404 ")
    assert b"There is no site here" in got


@pytest.mark.parametrize("written", ["Norm.Example.TEST", "norm.example.test.", "norm.example.test:8000", "NORM.example.test.:80"])
def test_a_host_is_found_however_it_is_written(router, written):
    router.route("norm.example.test", public=router.public("norm", index_html="found"))
    assert router.get(written).text == "found"


def test_the_address_in_the_request_line_decides_and_is_what_the_app_is_told(router):
    app = router.app()
    router.route("line.example.test", sockets=(app.socket,))
    got = router.raw(b"GET http://line.example.test/x HTTP/1.1\r\nHost: other.example.test\r\nConnection: close\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 200 ")
    assert app.requests[-1][1] == "/x"
    assert app.requests[-1][2]["host"] == "line.example.test"


def test_two_requests_cannot_hide_in_one(router):
    app = router.app()
    router.route("smuggle.example.test", sockets=(app.socket,))
    got = router.raw(
        b"POST / HTTP/1.1\r\nHost: smuggle.example.test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\nGET /hidden HTTP/1.1\r\n\r\n"
    )
    assert got.startswith(b"HTTP/1.1 400 ")
    assert not app.requests


def test_nothing_is_said_of_versions(router):
    assert router.get("nobody.example.test").headers["server"] == "nginx"


def test_the_access_log_has_what_is_needed_and_nothing_personal(router):
    router.route("logged.example.test", public=router.public("logged", index_html="x"))
    request_id = router.get("logged.example.test", "/missing?token=secret").headers["x-request-id"]
    eventually(lambda: request_id in router.log("access.log"), "the line is written")
    line = next(json.loads(text) for text in router.log("access.log").splitlines() if request_id in text)
    assert (line["host"], line["method"], line["status"]) == ("logged.example.test", "GET", 404)
    assert line["seconds"] >= 0
    assert "secret" not in router.log("access.log")


def test_a_slow_header_does_not_hold_a_connection_for_ever(router):
    assert "client_header_timeout 15s;" in (router.settings.paths.run / "nginx" / "nginx.conf").read_text()
    with closing(socket.create_connection(("127.0.0.1", router.settings.http_port), timeout=20)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        assert connection.recv(1024) == b""
