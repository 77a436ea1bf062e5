"""kill -9 of manager, bus or orchestrator while visitors keep coming: nobody notices, and what was interrupted finishes or says why not."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sitewright.testing.platform import Platform
from sitewright.testing.visitor import VisitedSite

FLASK = "from flask import Flask\napp = Flask(__name__)\n\n\n@app.get('/')\ndef index():\n    return 'flask'\n"
NODE = "require('http').createServer((_, answer) => answer.end('node')).listen(process.env.PORT)\n"
REQUESTS_PER_SECOND = 50


@dataclass
class Visitors:
    """50 requests a second over the sites until told to stop; every answer that is not the expected one is kept."""

    sites: dict[VisitedSite, str]
    failures: list[str] = field(default_factory=list)
    answered: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def _visit(self, site: VisitedSite, expected: str) -> None:
        while not self._stop.wait(len(self.sites) / REQUESTS_PER_SECOND):
            try:
                answer = site.get("/", timeout=10.0)
                if answer.status_code != 200 or expected not in answer.text:
                    self.failures.append(f"{site.name}: {answer.status_code} {answer.text[:200]}")
            except Exception as error:
                self.failures.append(f"{site.name}: {error!r}")
            self.answered += 1

    def wait_for(self, answers: int) -> None:
        """Let them go on until that many answers came in all."""
        deadline = time.monotonic() + 60
        while self.answered < answers:
            assert time.monotonic() < deadline, f"only {self.answered} answers in time"
            time.sleep(0.05)

    def __enter__(self) -> Visitors:
        self._threads = [threading.Thread(target=self._visit, args=pair) for pair in self.sites.items()]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=30)


@pytest.fixture(scope="module")
def three_sites(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[VisitedSite, str]]:
    folder = tmp_path_factory.mktemp("three")
    for name in ("static", "flask", "node"):
        (folder / name).mkdir()
    (folder / "static/index.html").write_text("static")
    (folder / "flask/app.py").write_text(FLASK)
    (folder / "flask/requirements.txt").write_text("flask\n")
    (folder / "node/server.js").write_text(NODE)
    (folder / "node/package.json").write_text('{"name": "n", "version": "1.0.0", "scripts": {"start": "node server.js"}}')
    sites = {}
    for name in ("static", "flask", "node"):
        platform.cli("sites", "create", f"kill-{name}", "--from", str(folder / name))
        sites[platform.site(f"kill-{name}", folder / name)] = name
    yield sites
    for site in sites:
        platform.cli("sites", "delete", site.name, "--confirm", site.name)


def kill_and_wait(platform: Platform, part: str) -> None:
    """kill -9 one part by its pid, then wait until the platform says that it is well again."""
    before = platform.part_pid(part)
    assert before > 0, f"{part} is not running"
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if platform.part_pid(part) not in (0, before) and platform.ready():
            return
        time.sleep(0.1)
    raise AssertionError(f"{part} was not back within 30 s")


@pytest.mark.parametrize("part", ["manager", "nats", "node"])
def test_no_request_fails_while_a_part_is_killed_and_comes_back(platform: Platform, three_sites: dict[VisitedSite, str], part: str) -> None:
    with Visitors(three_sites) as visitors:
        kill_and_wait(platform, part)
        kill_and_wait(platform, part)
        visitors.wait_for(answers=visitors.answered + 4 * REQUESTS_PER_SECOND)
    assert visitors.failures == []


@pytest.mark.parametrize("part", ["manager", "nats", "node"])
def test_a_deploy_that_was_cut_off_finishes(platform: Platform, three_sites: dict[VisitedSite, str], part: str, tmp_path: Path) -> None:
    site = next(site for site in three_sites if site.name == "kill-flask")
    word = f"flask after {part}"
    (Path(site.source) / "app.py").write_text(FLASK.replace("'flask'", f"'{word}'"))
    with Visitors(three_sites) as visitors:
        started = platform.cli("deploy", site.source, "--site", site.name, "--no-wait")
        kill_and_wait(platform, part)
        assert site.eventually(lambda: site.get("/").text == word, seconds=60), platform.cli(
            "operations", "list", "--site", site.name
        ).stdout
    assert visitors.failures == []
    assert started.returncode == 0
