"""`sitewright restart` under a paced load: every part is another process afterwards, and no request has failed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sitewright.testing.platform import Platform
from sitewright.up.children import start_ticks

PROGRAM = Path(__file__).parents[3] / "sitewright"
PARTS = ("nats", "node", "manager", "nginx")
APP = "require('http').createServer((_, answer) => answer.end('node')).listen(process.env.PORT)\n"
PACKAGE = '{"name": "n", "version": "1.0.0", "scripts": {"start": "node server.js"}}'
PAUSE_SECONDS = 0.02


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class Visitor(threading.Thread):
    """Asks one address again and again on a kept connection; whatever is not 200 is kept. *token*: who asks."""

    def __init__(self, platform: Platform, host: str, path: str = "/", token: str = "") -> None:
        super().__init__(daemon=True)
        self.url = f"http://127.0.0.1:{platform.settings.http_port}{path}"
        self.headers = {"host": host} | ({"authorization": f"Bearer {token}"} if token else {})
        self.answered = 0
        self.failures: list[str] = []
        self._end = threading.Event()

    def run(self) -> None:
        with httpx.Client(headers=self.headers, timeout=60.0) as client:
            while not self._end.wait(PAUSE_SECONDS):
                try:
                    answer = client.get(self.url)
                    if answer.status_code != 200:
                        self.failures.append(f"{answer.status_code} {answer.text[:200]}")
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                self.answered += 1

    def end(self) -> None:
        self._end.set()
        self.join(timeout=90)


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with tempfile.TemporaryDirectory(prefix="sitewright-restart-") as folder:
        Path(folder).chmod(0o711)
        made = Platform(PROGRAM, home=Path(folder) / "home", port=free_port(), arguments=("--no-sample",))
        try:
            made.start()
            for name, files in (("page", {"index.html": "<p>page"}), ("cafe", {"server.js": APP, "package.json": PACKAGE})):
                source = Path(folder) / name
                source.mkdir()
                for file, text in files.items():
                    (source / file).write_text(text)
                made.cli("sites", "create", name, "--from", str(source))
            yield made
        finally:
            made.clear_away()


@pytest.fixture
def visitors(platform: Platform) -> Iterator[list[Visitor]]:
    token = platform.settings.paths.local_token.read_text().strip()
    found = [
        Visitor(platform, f"page.{platform.settings.domain}"),
        Visitor(platform, f"cafe.{platform.settings.domain}"),
        Visitor(platform, platform.settings.manager_host, "/health/live"),
        Visitor(platform, platform.settings.manager_host, "/api/v1/sites/cafe/logs?tail=5", token),
    ]
    for visitor in found:
        visitor.start()
    yield found
    for visitor in found:
        visitor.end()


def pids(platform: Platform) -> dict[str, int]:
    return {part: platform.part_pid(part) for part in PARTS}


@pytest.mark.timeout(300)
def test_no_request_fails_over_two_restarts_in_a_row(platform: Platform, visitors: list[Visitor]) -> None:
    supervisor = platform.part_pid("supervisor")
    for _ in range(2):
        before = pids(platform)
        assert "Restarted." in platform.cli("restart").stdout
        after = pids(platform)
        assert not set(before.values()) & set(after.values())
    for visitor in visitors:
        visitor.end()
        assert visitor.failures == []
        assert visitor.answered > 0
    assert platform.part_pid("supervisor") == supervisor
    assert start_ticks(supervisor)


@pytest.mark.timeout(300)
def test_a_supervisor_killed_in_mid_restart_leaves_a_platform_that_the_next_up_takes_over(platform: Platform) -> None:
    node = platform.part_pid("node")
    restarting = subprocess.Popen([str(PROGRAM), "restart"], env=platform.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while platform.part_pid("node") in {0, node}:
        assert time.monotonic() < deadline, "the node was not replaced in time"
        time.sleep(0.01)
    os.kill(platform.part_pid("supervisor"), signal.SIGKILL)
    assert restarting.wait(timeout=60) != 0
    platform.stop()
    platform.start()
    answer = httpx.get(f"http://127.0.0.1:{platform.settings.http_port}/", headers={"host": f"page.{platform.settings.domain}"})
    assert answer.status_code == 200
    assert not list((platform.settings.paths.run / "pids").glob("*.old.*"))


def test_a_restart_without_a_platform_says_so(tmp_path: Path) -> None:
    env = {**os.environ, "SITEWRIGHT_HOME": str(tmp_path / "nothing")}
    done = subprocess.run([str(PROGRAM), "restart"], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 8
    assert "is running" in done.stderr
