"""Visitors keep coming while a site is deployed, restarted, scaled, rolled back, tried on some: none of their requests fails."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from sitewright.testing.crowd import Crowd, Errand
from sitewright.testing.platform import Platform
from sitewright.testing.witness import Witness

SITES = Path(__file__).parent / "sites"
Tell = Callable[[str], None]


@pytest.fixture(scope="module", params=["flask", "witness"])
def busy(platform: Platform, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witness]:
    """A gunicorn that is handed its socket, and a Node program behind a relay."""
    kind: str = request.param
    made = Witness(platform, f"busy-{kind}", SITES / kind, tmp_path_factory.mktemp("busy") / kind)
    made.create()
    yield made
    made.delete()


def test_a_deploy(busy: Witness, tell: Tell) -> None:
    with Crowd(busy.site) as crowd:
        crowd.go_on(100)
        busy.deploy("two")
        crowd.forget()
        crowd.go_on(100)
    crowd.all_answered(tell, "deploy")
    assert set(crowd.bodies) == {"two"}


def test_a_restart(busy: Witness, tell: Tell) -> None:
    before = busy.site.get("/me").json()["instance"]
    with Crowd(busy.site) as crowd:
        busy.platform.cli("sites", "restart", busy.name)
        crowd.go_on(100)
    crowd.all_answered(tell, "restart")
    assert busy.site.get("/me").json()["instance"] != before


def test_a_changed_variable(busy: Witness, tell: Tell) -> None:
    with Crowd(busy.site) as crowd:
        busy.platform.cli("env", "set", busy.name, "WORD= and a word")
        crowd.forget()
        crowd.go_on(100)
        assert set(crowd.bodies) == {"two and a word"}
        busy.platform.cli("env", "unset", busy.name, "WORD")
        crowd.forget()
        crowd.go_on(100)
    crowd.all_answered(tell, "variable set and unset")
    assert set(crowd.bodies) == {"two"}


def test_scaling_from_one_to_five_to_two(busy: Witness, tell: Tell) -> None:
    with Crowd(busy.site, errand=Errand("/me")) as crowd:
        busy.ask("scale", "web=5")
        crowd.forget()
        crowd.go_on(400)
        assert len(crowd.bodies) == 5, crowd.bodies
        busy.ask("scale", "web=2")
        crowd.forget()
        crowd.go_on(200)
    crowd.all_answered(tell, "scale 1 → 5 → 2")
    assert len(crowd.bodies) == 2
    busy.ask("scale", "web=1")


def test_a_rollback(busy: Witness, tell: Tell) -> None:
    busy.deploy("three")
    with Crowd(busy.site) as crowd:
        busy.ask("rollback")
        crowd.forget()
        crowd.go_on(100)
        assert set(crowd.bodies) == {"two"}
        busy.ask("rollback", "1")
        crowd.forget()
        crowd.go_on(100)
    crowd.all_answered(tell, "rolled back twice")
    assert set(crowd.bodies) == {"one"}


def test_a_web_socket_lives_through_a_deploy_until_the_drain_limit(platform: Platform, tmp_path: Path, tell: Tell) -> None:
    made = Witness(platform, "talker", SITES / "witness", tmp_path / "app")
    made.create()
    with made.site.websocket("/") as line:
        began = time.monotonic()
        made.deploy("two")
        assert made.site.get("/").text == "two"
        changed = time.monotonic()
        line.send("still here")
        assert line.recv(timeout=10) == "still here"
        with contextlib.suppress(ConnectionClosed):
            while time.monotonic() < changed + 60:
                line.send("beat")
                line.recv(timeout=10)
                time.sleep(0.2)
    lived = time.monotonic() - changed
    tell(f"a web socket lived {lived:.0f} s after the new release took over ({changed - began:.0f} s after the deploy was asked for)")
    assert 20 < lived < 50
    made.delete()
