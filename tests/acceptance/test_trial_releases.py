"""A new release is tried on some visitors first, or given to all at once: no request fails, and a bad one goes by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sitewright.testing.crowd import Crowd, Errand
from sitewright.testing.platform import Platform
from sitewright.testing.witness import Witness

SITES = Path(__file__).parent / "sites"
Tell = Callable[[str], None]


@pytest.fixture(scope="module", params=["flask", "witness"])
def trial(platform: Platform, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witness]:
    """A gunicorn that is handed its socket, and a Node program behind a relay."""
    kind: str = request.param
    made = Witness(platform, f"trial-{kind}", SITES / kind, tmp_path_factory.mktemp("trial") / kind)
    made.create()
    yield made
    made.delete()


def share(crowd: Crowd, body: str) -> float:
    return crowd.bodies[body] / max(crowd.bodies.total(), 1)


def test_a_canary_that_is_promoted(trial: Witness, tell: Tell) -> None:
    trial.deploy("old")
    with Crowd(trial.site, rate=400) as crowd:
        trial.deploy("young", "--canary", "10%")
        crowd.go_on(until=lambda: crowd.bodies["young"] > 0)
        crowd.forget()
        crowd.go_on(800)
        some = share(crowd, "young")
        assert "serving" in trial.platform.cli("canary", trial.name).stdout
        trial.platform.cli("canary", "promote", trial.name)
        crowd.forget()
        crowd.go_on(100)
    crowd.all_answered(tell, f"canary with {some:.0%} of the requests, promoted")
    assert 0.07 < some < 0.19
    assert set(crowd.bodies) == {"young"}


def test_a_canary_that_is_aborted_by_hand(trial: Witness, tell: Tell) -> None:
    trial.deploy("old")
    with Crowd(trial.site) as crowd:
        trial.deploy("young", "--canary", "25%")
        crowd.go_on(until=lambda: crowd.bodies["young"] > 0)
        trial.platform.cli("canary", "abort", trial.name)
        crowd.forget()
        crowd.go_on(100)
    crowd.all_answered(tell, "canary aborted by hand")
    assert set(crowd.bodies) == {"old"}


def test_a_canary_that_answers_with_errors_goes_by_itself(trial: Witness, tell: Tell) -> None:
    trial.deploy("old")
    spoilt: list[int] = []

    def good(status: int, body: str) -> bool:
        if (status, body) == (500, "broken"):
            spoilt.append(status)
            return True
        return (status, body) == (200, "old")

    with Crowd(trial.site, errand=Errand("/", good=good)) as crowd:
        trial.deploy("broken", "--canary", "10%")
        trial.await_timeline("taken out of its trial", seconds=60)
        crowd.go_on(until=lambda: "no release on trial" in trial.platform.cli("canary", trial.name).stdout)
        crowd.forget()
        crowd.go_on(200)
    crowd.all_answered(tell, f"canary with errors aborted by itself after {len(spoilt)} of them")
    assert set(crowd.bodies) == {"old"}
    assert spoilt


def test_all_at_once(trial: Witness, tell: Tell) -> None:
    trial.deploy("blue")
    trial.ask("scale", "web=2")
    seen: list[str] = []

    def good(status: int, body: str) -> bool:
        if not seen or seen[-1] != body:
            seen.append(body)
        return status == 200

    with Crowd(trial.site, errand=Errand("/", good=good)) as crowd:
        trial.deploy("green", "--blue-green")
        crowd.forget()
        crowd.go_on(200)
    crowd.all_answered(tell, "blue/green")
    assert set(crowd.bodies) == {"green"}
    assert trial.ready() == 2
    assert len(seen) < 16, "they took turns for longer than the requests that were under way"
    trial.ask("scale", "web=1")
