"""Limits of one channel's visitors: what is too much is told, and nobody else notices."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import closing

import pytest

from sitewright.domain.limits import VisitLimits
from sitewright.domain.route import Affinity
from sitewright.router.follow import TrafficFollower

from .conftest import answer, eventually

MIB = 1024 * 1024


def test_more_requests_a_second_than_allowed_are_told_so(router):
    follower = TrafficFollower(router.settings.paths)
    follower.start()
    app = router.app()
    router.route("rate.example.test", sockets=(app.socket,), visits=VisitLimits(requests_per_second=2))
    router.route("norate.example.test", sockets=(app.socket,))
    answers = [router.get("rate.example.test", Accept="text/html") for _ in range(30)]
    refused = [got for got in answers if got.status == 429]
    assert answers[0].status == 200
    assert len(refused) >= 10
    assert refused[0].headers["retry-after"] == "1"
    assert "Too many requests" in refused[0].text
    assert json.loads(router.get("rate.example.test").body)["code"] == "limited"
    assert all(router.get("norate.example.test").status == 200 for _ in range(30))
    eventually(lambda: router.log("access.log").count('"norate.example.test"') >= 30, "all lines are written")
    while follower.step():
        pass
    traffic = {host.host: host for host in follower.take()}
    follower.close()
    assert traffic["rate.example.test"].limited == len(refused) + 1
    assert traffic["rate.example.test"].requests == 30 - len(refused)
    assert traffic["norate.example.test"].limited == 0


def test_files_are_not_counted(router):
    app = router.app()
    public = router.public("ratefiles", style_css="b{}")
    router.route("ratefiles.example.test", sockets=(app.socket,), public=public, visits=VisitLimits(requests_per_second=1))
    assert all(router.get("ratefiles.example.test", "/style.css").status == 200 for _ in range(20))


def test_more_requests_under_way_than_allowed_are_told_so(router):
    release = threading.Event()

    def hang(handler, _body):
        release.wait(30)
        answer(handler)

    app = router.app(hang)
    router.route("conns.example.test", sockets=(app.socket,), visits=VisitLimits(connections=3))
    held = []
    try:
        for number in range(4):
            visitor = socket.create_connection(("127.0.0.1", router.settings.http_port))
            visitor.sendall(b"GET / HTTP/1.1\r\nHost: conns.example.test\r\n\r\n")
            held.append(visitor)
            eventually(lambda number=number: len(app.requests) > number, "the app has the request")
        got = router.get("conns.example.test")
        assert (got.status, json.loads(got.body)["code"]) == (429, "limited")
    finally:
        release.set()
        for visitor in held:
            visitor.close()
    eventually(lambda: router.get("conns.example.test").status == 200, "there is room again")


@pytest.mark.parametrize("affinity", [Affinity.NONE, Affinity.COOKIE])
def test_a_body_over_the_channels_limit_is_refused_at_once(router, affinity):
    def count(handler, _body):
        answer(handler, str(len(handler.rfile.read(int(handler.headers["Content-Length"])))).encode())

    app = router.app(count)
    host = f"body-{affinity}.example.test"
    router.route(host, sockets=(app.socket,), visits=VisitLimits(body_mb=2), affinity=affinity)
    assert router.request("POST", host, body=b"x" * (2 * MIB)).text == str(2 * MIB)
    with closing(router.connect()) as connection:
        connection.putrequest("POST", "/", skip_host=True)
        for name, value in (("Host", host), ("Accept", "text/html"), ("Content-Length", str(2 * MIB + 1))):
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        assert response.status == 413
        assert b"larger than this site takes" in response.read()
    assert len(app.requests) == 1


def test_a_body_of_unknown_length_is_cut_off_at_the_limit(router):
    received = []

    def count(handler, _body):
        try:
            while size := int(handler.rfile.readline() or b"0", 16):
                received.append(len(handler.rfile.read(size)))
                handler.rfile.readline()
        except ValueError:
            return

    app = router.app(count)
    router.route("chunks.example.test", sockets=(app.socket,), visits=VisitLimits(body_mb=1))
    with closing(router.connect()) as connection:
        connection.putrequest("POST", "/", skip_host=True)
        connection.putheader("Host", "chunks.example.test")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        piece = b"x" * 65536
        for _ in range(17):
            connection.send(b"10000\r\n" + piece + b"\r\n")
        response = connection.getresponse()
        assert response.status == 413
        assert json.loads(response.read())["code"] == "oversize"
    assert sum(received) <= MIB


def test_a_limit_above_all_tiers_is_the_platforms_own(router):
    app = router.app()
    router.route("big.example.test", sockets=(app.socket,), visits=VisitLimits(body_mb=5000, requests_per_second=9999, connections=5000))
    assert router.request("POST", "big.example.test", body=b"x" * 100).status == 200
