"""How long a `git push` over SSH takes, from the start of git until a visitor gets the new page, and whether visitors notice it."""

from __future__ import annotations

import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.harness import Row
from benchmarks.platform.stand import Stand, flask_app, static_site
from benchmarks.rig.visits import Visitor
from sitewright.testing.people import Code, Person, assemble

PUSHES = 5
LOOK_SECONDS = 0.005
PEER = "best small peer (cited)"
PEER_GAP_SECONDS = 1.2


@dataclass(frozen=True)
class Kind:
    """What is pushed: ``make(folder, version)`` writes it. Peer figures are cited from the comparison that set the bars."""

    site: str
    title: str
    make: Callable[[Path, str], Path]
    bar_seconds: float
    peer_seconds: float
    first_bar: float | None = None
    first_peer: float | None = None


KINDS = (
    Kind("pushed-flask", "Flask", flask_app, 2.0, 2.2, 6.0, 6.1),
    Kind("pushed-static", "static", static_site, 0.4, 0.44),
)


def push_rows(there: Stand) -> list[Row]:
    """Both kinds; failed requests and the longest gap of all pushes together."""
    alice = assemble(there.platform, there.folder / "people")["alice"]
    alice.add_key()
    rows: list[Row] = []
    failed, gap, visits = 0, 0.0, 0
    for kind in KINDS:
        code = _begin(alice, kind)
        first = _pushed(there, kind, code, "first")
        with Watch(there.visitor(kind.site)) as watch:
            later = [_pushed(there, kind, code, f"push-{number}") for number in range(PUSHES)]
        failed, gap, visits = failed + watch.failed, max(gap, watch.gap), visits + watch.visits
        rows += [
            _row(f"{kind.title}, first, until served", first[0], kind.first_bar, kind.first_peer),
            _row(
                f"{kind.title}, one line changed, until served",
                statistics.median(seen for seen, _ in later),
                kind.bar_seconds,
                kind.peer_seconds,
            ),
            _row(f"{kind.title}, one line changed, until git ends", statistics.median(ended for _, ended in later)),
        ]
    return [
        *rows,
        Row(f"push: requests failed during {PUSHES * len(KINDS)} pushes ({visits:,} requests)", failed, "requests", 0),
        _row("longest time without an answer", gap, peer=PEER_GAP_SECONDS),
    ]


def _row(name: str, seconds: float, bar: float | None = None, peer: float | None = None) -> Row:
    return Row(f"push: {name}", seconds, "s", bar, peer="" if peer is None else PEER, peer_value=peer)


def _begin(alice: Person, kind: Kind) -> Code:
    """An empty site, and a repository with nothing but its remote."""
    alice.cli("sites", "create", kind.site)
    code = Code(alice, kind.site)
    code.begin({})
    return code


def _pushed(there: Stand, kind: Kind, code: Code, version: str) -> tuple[float, float]:
    """Seconds until a visitor got that version, and until git had ended."""
    kind.make(code.folder, version)
    code.commit(version, {})
    visitor = there.visitor(kind.site)
    began = time.perf_counter()
    git = subprocess.Popen(
        ["git", "push", "sitewright", "main"],
        cwd=code.folder,
        env=code.person.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    visitor.await_text(version.encode())
    seen = time.perf_counter() - began
    code_of_git = git.wait(timeout=60)
    ended = time.perf_counter() - began
    assert code_of_git == 0, f"git push ended with {code_of_git}"
    visitor.close()
    return seen, ended


class Watch:
    """Somebody who asks for the first page all the time. ``gap``: the longest time between two good answers, in seconds."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self.failed = self.visits = 0
        self.gap = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=60)
        self._visitor.close()

    def _look(self) -> None:
        last = time.perf_counter()
        while not self._over.wait(LOOK_SECONDS):
            status, _ = self._visitor.request("GET", "/")
            now = time.perf_counter()
            self.visits += 1
            self.failed += status != 200
            if status == 200:
                self.gap, last = max(self.gap, now - last - LOOK_SECONDS), now
