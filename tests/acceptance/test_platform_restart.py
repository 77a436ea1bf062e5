"""The platform itself is restarted and its parts are killed while visitors keep coming: no request fails, asleep or awake."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sitewright.testing.crowd import Crowd
from sitewright.testing.platform import Platform
from sitewright.testing.witness import Witness

SITES = Path(__file__).parent / "sites"
PARTS = ("nats", "node", "manager", "nginx")
Tell = Callable[[str], None]


@pytest.fixture(scope="module")
def standing(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witness]:
    made = Witness(platform, "standing", SITES / "flask", tmp_path_factory.mktemp("standing") / "app")
    made.create()
    yield made
    made.delete()


def pids(platform: Platform, *parts: str) -> dict[str, int]:
    return {part: platform.part_pid(part) for part in parts}


def renewed(platform: Platform, before: dict[str, int]) -> bool:
    now = pids(platform, *before)
    return all(now[part] not in {0, before[part]} for part in before) and platform.ready()


def test_a_restart_of_the_whole_platform(platform: Platform, standing: Witness, tell: Tell) -> None:
    before = pids(platform, *PARTS)
    with Crowd(standing.site) as crowd:
        crowd.go_on(100)
        os.kill(platform.part_pid("supervisor"), signal.SIGHUP)
        crowd.go_on(400, until=lambda: renewed(platform, before), seconds=90)
    tell(f"restart of the platform: {crowd.told()}")
    assert crowd.failures == []


@pytest.mark.parametrize("part", PARTS)
def test_a_killed_part(platform: Platform, standing: Witness, part: str, tell: Tell) -> None:
    before = pids(platform, part)
    with Crowd(standing.site) as crowd:
        crowd.go_on(100)
        os.kill(before[part], signal.SIGKILL)
        crowd.go_on(300, until=lambda: renewed(platform, before))
    tell(f"kill -9 of {part}: {crowd.told()}")
    assert crowd.failures == []


def test_a_sleeper_is_woken_while_the_node_is_being_restarted(platform: Platform, standing: Witness, tell: Tell) -> None:
    standing.ask("sleep", "--freeze-after", "0", "--stop-after", "1s")
    for part in ("node", "manager"):
        standing.await_stage("stopped")
        assert standing.site.eventually(lambda: platform.asleep(standing.site.host))
        os.kill(platform.part_pid(part), signal.SIGKILL)
        answer = standing.site.get("/", timeout=60)
        tell(f"first visit right after kill -9 of {part}: {answer.status_code} in {answer.elapsed.total_seconds():.1f} s")
        assert (answer.status_code, answer.text) == (200, "one")
        assert standing.site.eventually(platform.ready)


def test_whoever_waits_for_a_slow_site_when_the_node_is_killed_is_served(platform: Platform, tmp_path: Path) -> None:
    made = Witness(platform, "late", SITES / "witness", tmp_path / "app")
    made.write("late", Procfile="web: START_MS=3000 node server.js\n")
    made.create()
    made.ask("sleep", "--freeze-after", "0", "--stop-after", "1s")
    made.await_stage("stopped")
    with ThreadPoolExecutor(1) as pool:
        visitor = pool.submit(made.site.get, "/", timeout=60)
        made.await_stage("awake")
        os.kill(platform.part_pid("node"), signal.SIGKILL)
        assert visitor.result().text == "late"
    made.delete()
