"""Changes while visitors are there, and nginx's own death."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections import Counter

from sitewright.domain.identity import new_id
from sitewright.domain.route import ChannelRoute

from .conftest import answer, eventually


class Visitors:
    """Threads that ask for a page until told to stop; ``answers`` counts (status, text)."""

    def __init__(self, router, host: str, count: int = 4) -> None:
        self.answers: Counter[tuple[int, str]] = Counter()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._visit, args=(router, host)) for _ in range(count)]

    def _visit(self, router, host: str) -> None:
        connection = router.connect()
        while not self._stop.is_set():
            try:
                connection.request("GET", "/", headers={"Host": host})
                response = connection.getresponse()
                seen = (response.status, response.read().decode())
            except (OSError, http.client.HTTPException) as error:
                seen = (0, repr(error))
            with self._lock:
                self.answers[seen] += 1
        connection.close()

    def __enter__(self) -> Visitors:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_a_thousand_changes_under_load_fail_no_request_and_each_is_served_at_once(router):
    folders = [router.public(f"version{number}", index_html=f"version {number}") for number in range(2)]
    apps = [router.app(), router.app()]
    static, dynamic = new_id(), new_id()
    router.route("change.example.test", channel=static, public=folders[0])
    router.route("swap.example.test", channel=dynamic, sockets=(apps[0].socket,))
    delays = []
    with Visitors(router, "change.example.test", 3) as readers, Visitors(router, "swap.example.test", 3) as callers:
        for number in range(1000):
            router.table.set(ChannelRoute(dynamic, ("swap.example.test",), sockets=(apps[number % 2].socket,)))
            began = time.monotonic()
            router.table.set(ChannelRoute(static, ("change.example.test",), public=folders[number % 2]))
            if number % 20 == 0:
                while router.get("change.example.test").text != f"version {number % 2}":
                    assert time.monotonic() - began < 5
                delays.append(time.monotonic() - began)
    assert {status for status, _ in readers.answers} == {200}
    assert {status for status, _ in callers.answers} == {200}
    assert len(readers.answers) == len(callers.answers) == 2
    assert sorted(delays)[len(delays) // 2] < 0.25


def test_sites_that_come_and_go_do_not_disturb_the_others(router):
    router.route("steady.example.test", public=router.public("steady", index_html="steady"))

    def churn(number: int) -> None:
        channel = new_id()
        for _ in range(100):
            router.table.set(ChannelRoute(channel, (f"guest{number}.example.test",), public=router.folder))
            router.table.remove(channel)

    with Visitors(router, "steady.example.test", 2) as visitors:
        threads = [threading.Thread(target=churn, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert set(visitors.answers) == {(200, "steady")}


def test_routes_outlive_nginx_and_a_killed_master_can_be_started_again(router):
    router.route("outlive.example.test", public=router.public("outlive", index_html="still here"))
    assert router.process is not None
    os.kill(router.process.pid, signal.SIGKILL)
    router.process.wait()
    assert router.get("outlive.example.test").text == "still here"
    os.killpg(router.process.pid, signal.SIGKILL)
    eventually(lambda: not router.listens(), "the orphaned workers are gone")
    router.start()
    assert router.get("outlive.example.test").text == "still here"


def test_quitting_lets_the_requests_under_way_finish(router):
    release = threading.Event()

    def wait(handler, body: bytes) -> None:
        release.wait(20)
        answer(handler, b"finished")

    app = router.app(wait)
    router.route("finish.example.test", sockets=(app.socket,))
    got: list[str] = []
    visitor = threading.Thread(target=lambda: got.append(router.get("finish.example.test").text))
    visitor.start()
    eventually(lambda: app.requests, "the app has the request")
    router.process.send_signal(signal.SIGQUIT)
    eventually(lambda: not router.listens(), "nginx has stopped listening")
    release.set()
    visitor.join()
    assert got == ["finished"]
    router.process.wait(20)
    router.start()
