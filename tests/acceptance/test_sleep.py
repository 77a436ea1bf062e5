"""Sites nobody visits sleep and cost nothing; whoever comes first is served, whatever the request is."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sitewright.testing.platform import Platform
from sitewright.testing.witness import Witness

SITES = Path(__file__).parent / "sites"
Tell = Callable[[str], None]
STOPS, FREEZES = ("--freeze-after", "0", "--stop-after", "1s"), ("--freeze-after", "1s", "--stop-after", "1h")
BODY = bytes(range(256)) * 1954
"""About 500 kB."""
DEPTHS = pytest.mark.parametrize("depth", ["frozen", "stopped"])


@pytest.fixture(scope="module")
def sleeper(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witness]:
    made = Witness(platform, "sleeper", SITES / "witness", tmp_path_factory.mktemp("sleeper") / "app")
    made.create()
    yield made
    made.delete()


@pytest.fixture
def asleep(sleeper: Witness, depth: str) -> Witness:
    """The site, sleeping that deep."""
    sleeper.ask("sleep", *(FREEZES if depth == "frozen" else STOPS))
    sleeper.site.get("/")
    sleeper.await_stage(depth)
    return sleeper


@DEPTHS
def test_a_get_is_served(asleep: Witness, depth: str, tell: Tell) -> None:
    began = time.monotonic()
    answer = asleep.site.get("/")
    tell(f"first answer of a {depth} Node site: {(time.monotonic() - began) * 1000:.0f} ms")
    assert (answer.status_code, answer.text) == (200, "one")
    asleep.await_timeline("Woke")


@DEPTHS
def test_a_head_is_served(asleep: Witness, depth: str) -> None:
    assert asleep.site.request("HEAD", "/").status_code == 200


@DEPTHS
def test_a_large_body_arrives_whole(asleep: Witness, depth: str) -> None:
    assert asleep.site.post("/hash", content=BODY).text == hashlib.sha256(BODY).hexdigest()


@DEPTHS
def test_a_body_in_chunks_arrives_whole(asleep: Witness, depth: str) -> None:
    pieces = (BODY[start : start + 10_000] for start in range(0, len(BODY), 10_000))
    assert asleep.site.post("/hash", content=pieces).text == hashlib.sha256(BODY).hexdigest()


@DEPTHS
def test_a_web_socket_wakes_it_and_keeps_it_awake(asleep: Witness, depth: str) -> None:
    with asleep.site.websocket("/") as line:
        for word in ("hello", "again"):
            line.send(word)
            assert line.recv(timeout=10) == word
        asleep.await_stage("awake", "dozing")
        quiet = time.monotonic() + 4
        while time.monotonic() < quiet:
            assert asleep.stage() in {"awake", "dozing"}
            time.sleep(0.2)
        line.send("still here")
        assert line.recv(timeout=10) == "still here"
    asleep.await_stage(depth)


@DEPTHS
def test_fifty_visitors_at_once_start_one_instance(asleep: Witness, depth: str, tell: Tell) -> None:
    starts = asleep.data / "starts"
    before, begin = starts.stat().st_size, threading.Barrier(50)

    def visit(_: int) -> tuple[int, str]:
        begin.wait()
        answer = asleep.site.get("/")
        return answer.status_code, answer.text

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(visit, range(50)))
    assert set(answers) == {(200, "one")}
    assert starts.stat().st_size - before == (0 if depth == "frozen" else 1)
    tell(f"50 first visitors of a {depth} site: {len(answers)} served")


def test_what_it_saves_is_shown(sleeper: Witness) -> None:
    sleeper.ask("sleep", *STOPS)
    sleeper.await_stage("stopped")
    shown = sleeper.ask("sleep")
    assert "asleep" in shown
    assert "MB" in next(line for line in shown.splitlines() if line.startswith("Memory saved"))
    sleeper.await_timeline("sleep")


def test_waking_by_hand(sleeper: Witness) -> None:
    sleeper.ask("sleep", *STOPS)
    sleeper.await_stage("stopped")
    assert "awake" in sleeper.ask("wake")
    assert sleeper.site.eventually(lambda: sleeper.ready() == 1)


def test_it_never_sleeps_when_its_owner_says_so(sleeper: Witness) -> None:
    refused = sleeper.platform.cli("sleep", sleeper.name, "--never", check=False)
    assert "not always on" in refused.stderr
    sleeper.platform.cli("plans", "--choose", "always on")
    sleeper.ask("sleep", "--never")
    sleeper.await_stage("awake")
    before = sleeper.site.get("/starts").text
    quiet = time.monotonic() + 3
    while time.monotonic() < quiet:
        assert sleeper.stage() == "awake"
        time.sleep(0.3)
    assert sleeper.site.get("/starts").text == before
    sleeper.platform.cli("plans", "--choose", "standard")


def test_a_deploy_to_a_sleeping_site_wakes_it_and_it_sleeps_again(sleeper: Witness) -> None:
    sleeper.ask("sleep", *STOPS)
    sleeper.await_stage("stopped")
    sleeper.deploy("two")
    sleeper.await_stage("stopped")
    assert sleeper.site.get("/").text == "two"


def test_a_crash_at_wake_says_so(sleeper: Witness) -> None:
    sleeper.ask("sleep", *STOPS)
    sleeper.await_stage("stopped")
    crash = sleeper.data / "crash"
    crash.write_text("")
    began = time.monotonic()
    answer = sleeper.site.get("/", headers={"accept": "application/json"}, timeout=60)
    assert answer.status_code in {502, 503}
    assert "crash" in answer.text.lower() or "did not start" in answer.text.lower(), answer.text
    assert time.monotonic() - began < 30
    sleeper.await_timeline("3")
    crash.unlink()
    sleeper.platform.cli("sites", "restart", sleeper.name)
    assert sleeper.site.get("/").status_code == 200


@pytest.fixture(scope="module")
def slow(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witness]:
    made = Witness(platform, "late-riser", SITES / "witness", tmp_path_factory.mktemp("slow") / "app")
    made.write("slow", Procfile="web: START_MS=6000 node server.js\n")
    made.create()
    made.ask("sleep", *STOPS)
    yield made
    made.delete()


def test_a_browser_gets_a_page_while_a_slow_site_wakes_and_a_program_waits(slow: Witness) -> None:
    slow.await_stage("stopped")
    browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        program = pool.submit(slow.site.get, "/", headers={"accept": "application/json"}, timeout=60)
        page = slow.site.get("/", headers=browser)
        assert 2 < time.monotonic() - began < 5
        assert page.status_code == 503
        assert "retry-after" in page.headers
        assert "refresh" in page.text.lower() or "refresh" in page.headers
        assert "<" in page.text
        assert program.result().text == "slow"
    assert slow.site.eventually(lambda: slow.site.get("/", headers=browser).text == "slow")


def test_php_sleeps_and_is_served(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "index.php").write_text("<?php echo hash('sha256', file_get_contents('php://input'));")
    (tmp_path / "app" / "version").write_text("php")
    made = Witness(platform, "sleeper-php", tmp_path / "app", tmp_path / "copy")
    made.create()
    for stage, policy in (("frozen", FREEZES), ("stopped", STOPS)):
        made.ask("sleep", *policy)
        made.await_stage(stage)
        assert made.site.post("/", content=BODY).text == hashlib.sha256(BODY).hexdigest()
        made.await_stage(stage)
        assert made.site.get("/").status_code == 200
    made.delete()


def test_a_worker_sleeps_and_wakes_with_the_web_process(platform: Platform, tmp_path: Path) -> None:
    made = Witness(platform, "sleeper-worker", SITES / "witness", tmp_path / "app")
    made.write("one", Procfile="web: node server.js\nworker: while true; do sleep 1; done\n")
    made.create()
    assert made.site.eventually(lambda: made.ready("worker") == 1)
    made.ask("sleep", *STOPS)
    made.await_stage("stopped")
    assert made.ready("worker") == 0
    assert made.site.get("/").text == "one"
    assert made.site.eventually(lambda: made.ready("worker") == 1, seconds=10)
    made.delete()


def test_a_static_site_never_sleeps(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "index.html").write_text("always here")
    (tmp_path / "app" / "version").write_text("static")
    made = Witness(platform, "insomniac", tmp_path / "app", tmp_path / "copy")
    made.create()
    platform.cli("sleep", made.name, *STOPS, check=False)
    quiet = time.monotonic() + 3
    while time.monotonic() < quiet:
        assert made.stage() == "awake"
        assert made.site.get("/").text == "always here"
        time.sleep(0.5)
    made.delete()
