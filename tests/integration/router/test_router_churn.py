"""Sites that fall asleep and are woken again and again while visitors are there."""

from __future__ import annotations

import random
import threading
from collections import Counter

from sitewright.domain.identity import new_id
from sitewright.domain.route import Presence

from .conftest import App, Router, answer
from .gate import Gate

KINDS = [("GET", "/", 0), ("GET", "/style.css", 0), ("POST", "/", 2_000), ("PUT", "/", 300_000), ("POST", "/", 900_000)]
HOSTS, WAKES_EACH, VISITORS_EACH = 5, 200, 2


class Churn:
    """Hosts of one app that tells how much it got; ``wrong`` is every answer that did not."""

    def __init__(self, router: Router, app: App) -> None:
        self.router, self.app = router, app
        self.channels = {f"churn{number}.example.test": new_id() for number in range(HOSTS)}
        self.public = router.public("churn", style_css="b{}")
        self.lock = threading.Lock()
        self.wakes, self.answers = Counter[str](), Counter[tuple[str, int]]()
        self.over = threading.Event()
        self.wrong: list[object] = []

    def sleep(self, host: str) -> None:
        with self.lock:
            self.router.route(host, channel=self.channels[host], presence=Presence.ASLEEP, public=self.public)

    def wake(self, host: str, _patience: str) -> int:
        with self.lock:
            self.router.route(host, channel=self.channels[host], sockets=(self.app.socket,), public=self.public)
            self.wakes[host] += 1
        return 204

    def visit(self, host: str, seed: int) -> None:
        """A page, a form, a file there or back, until it is over."""
        choose = random.Random(seed)
        while not self.over.is_set():
            method, path, size = choose.choice(KINDS)
            try:
                got = self.router.request(method, host, path, body=b"b" * size or None)
                if (got.status, got.text) != (200, "b{}" if path == "/style.css" else str(size)):
                    self.wrong.append((got.status, got.body))
            except OSError as error:
                self.wrong.append(error)
            self.answers[host, seed] += 1

    def churn(self, host: str) -> None:
        """Fall asleep while visitors are under way, as soon as everybody has been there since the last wake."""
        for number in range(WAKES_EACH):
            self.sleep(host)
            while self.wakes[host] <= number and not self.over.wait(0.001):
                pass
            for seed in range(VISITORS_EACH):
                seen = self.answers[host, seed]
                while self.answers[host, seed] <= seen and not self.over.wait(0.001):
                    pass


def test_a_thousand_wakes_fail_no_request_whatever_it_carries(router):
    churn = Churn(router, router.app(lambda handler, body: answer(handler, str(len(body)).encode())))
    for host in churn.channels:
        churn.sleep(host)
    with Gate(router.settings.paths.wake_socket, churn.wake):
        visitors = [threading.Thread(target=churn.visit, args=(host, seed)) for seed in range(VISITORS_EACH) for host in churn.channels]
        churners = [threading.Thread(target=churn.churn, args=(host,)) for host in churn.channels]
        for thread in (*visitors, *churners):
            thread.start()
        for thread in churners:
            thread.join(240)
        churn.over.set()
        for thread in (*churners, *visitors):
            thread.join(30)
    assert churn.wrong == []
    assert sum(churn.wakes.values()) >= HOSTS * WAKES_EACH
