"""A storm of first visitors: whenever a site has fallen asleep somebody comes, while its owner changes things all the time."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx

from sitewright.cli.ignore import walk
from sitewright.cli.source import pack
from sitewright.testing.platform import Platform
from sitewright.testing.witness import Witness

BODY = bytes(range(256)) * 400
FREEZES = {"freeze_after_seconds": 1, "stop_after_seconds": 3600}
STOPS = {"freeze_after_seconds": 0, "stop_after_seconds": 1}
VISIT_SECONDS = 125.0
"""A little longer than the router has a program wait."""


def settle(sites: Sequence[Witness], *, seconds: float = 180.0) -> None:
    """Return when no operation of these sites goes on. Raises AssertionError."""
    deadline = time.monotonic() + seconds
    for made in sites:
        while made.seen()["operation"]:
            assert time.monotonic() < deadline, f"an operation of {made.name} did not end in {seconds:.0f} s"
            time.sleep(0.1)


def sleepers(platform: Platform, app: Path, folder: Path, count: int) -> list[Witness]:
    """So many sites, made at the same time; half of them freeze, half of them stop, each after a second without visitors."""
    made = [Witness(platform, f"storm-{number}", app, folder / str(number)) for number in range(count)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Witness.create, made))
    for number, one in enumerate(made):
        answer = platform.api("PATCH", f"/sites/{one.name}/settings", json={"sleep": FREEZES if number % 2 else STOPS})
        assert answer.is_success, answer.text
    settle(made)
    return made


@dataclass
class Storm:
    """First visits of *sites*. ``waited`` has the seconds that each of them took; ``failures`` those that were not served."""

    platform: Platform
    sites: Sequence[Witness]
    waited: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    changes: int = 0
    refused: list[str] = field(default_factory=list)
    """Changes that the platform did not take."""
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        for made in self.sites:
            self._begin(lambda made=made: self._visitor(made))  # type: ignore[misc]
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(timeout=VISIT_SECONDS + 10)

    def churn(self, changes: Sequence[Callable[[Witness], httpx.Response]], every: float) -> None:
        """From now on somebody changes one of the sites every so many seconds."""
        self._begin(lambda: self._owner(changes, every))

    def go_on(self, visits: int, seconds: float) -> None:
        """Until there were so many first visits in all. Raises AssertionError after *seconds*."""
        deadline = time.monotonic() + seconds
        while len(self.waited) < visits:
            assert time.monotonic() < deadline, f"{self.told()} That is not {visits} in {seconds:.0f} s."
            time.sleep(0.05)

    def told(self) -> str:
        """What came of it, in a sentence."""
        waited = sorted(self.waited) or [0.0]
        middle, late = waited[len(waited) // 2], waited[len(waited) * 95 // 100]
        first = f"; the first: {self.failures[0]}" if self.failures else ""
        took = f"median {middle * 1000:.0f} ms, p95 {late * 1000:.0f} ms, slowest {waited[-1]:.1f} s{first}"
        visits = f"{len(self.waited)} first visits of {len(self.sites)} sites in {time.monotonic() - self._began:.0f} s"
        return f"{visits}, {self.changes} changes, {len(self.failures)} failed, {took}"

    def _begin(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _visitor(self, made: Witness) -> None:
        luck = random.Random(made.name)
        while not self._over.wait(0.01):
            if not self.platform.asleep(made.site.host):
                continue
            # Sometimes at once, sometimes when it is deeper asleep: every stage of falling asleep is visited.
            if self._over.wait(luck.choice((0.0, 0.2, 0.5, 1.0))):
                return
            began = time.monotonic()
            try:
                wrong = self._visit(made, luck)
            except httpx.HTTPError as error:
                wrong = repr(error)
            self.waited.append(time.monotonic() - began)
            if wrong:
                moment = time.strftime("%H:%M:%S", time.gmtime(time.time() - self.waited[-1]))
                self.failures.append(f"{made.name}, who came at {moment} UTC and stayed {self.waited[-1]:.1f} s: {wrong}")

    def _visit(self, made: Witness, luck: random.Random) -> str:
        """What was wrong with the answer; "" for a good one."""
        if luck.random() < 0.3:
            answer = made.site.post("/hash", content=BODY, timeout=VISIT_SECONDS)
            good = answer.text == hashlib.sha256(BODY).hexdigest()
        else:
            answer = made.site.get("/", timeout=VISIT_SECONDS)
            good = answer.text.startswith("one")
        return "" if good and answer.status_code == 200 else f"{answer.status_code} {answer.text[:200]}"

    def _owner(self, changes: Sequence[Callable[[Witness], httpx.Response]], every: float) -> None:
        luck = random.Random(7)
        while not self._over.wait(every):
            change, made = luck.choice(changes), luck.choice(self.sites)
            try:
                answer = change(made)
            except httpx.HTTPError as error:
                self.refused.append(repr(error))
                continue
            self.changes += answer.is_success
            if not answer.is_success and answer.status_code != 409:
                self.refused.append(f"{answer.status_code} {answer.text[:200]}")


def usual_changes(platform: Platform) -> tuple[Callable[[Witness], httpx.Response], ...]:
    """A deploy, a scale, a changed variable, a restart."""
    luck = random.Random(11)

    def deploy(made: Witness) -> httpx.Response:
        made.write(f"one {luck.random()}")
        content = b"".join(pack(made.folder, list(walk(made.folder))))
        stored = platform.api("POST", "/uploads", params={"filename": "app.tar.gz"}, content=content)
        source = {"kind": "upload", "digest": stored.json()["digest"], "name": "app.tar.gz"}
        return platform.api("POST", f"/sites/{made.name}/deploys", json={"source": source})

    def scale(made: Witness) -> httpx.Response:
        return platform.api("PATCH", f"/sites/{made.name}/scale", json={"processes": {"web": {"count": luck.choice((1, 1, 2))}}})

    def variable(made: Witness) -> httpx.Response:
        wanted = {"set": {"WORD": {"value": f" {luck.random()}", "secret": False}}, "unset": []}
        return platform.api("PATCH", f"/sites/{made.name}/env", json=wanted)

    def restart(made: Witness) -> httpx.Response:
        return platform.api("POST", f"/sites/{made.name}/restart")

    return deploy, scale, variable, restart
