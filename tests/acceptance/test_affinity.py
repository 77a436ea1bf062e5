"""Visitors that belong together reach one instance, and a change of the number of instances moves few of them."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sitewright.testing.platform import Platform
from sitewright.testing.witness import Witness

SITES = Path(__file__).parent / "sites"
Tell = Callable[[str], None]
VISITORS = 200


@pytest.fixture(scope="module")
def three(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witness]:
    """A site of three instances."""
    made = Witness(platform, "belonging", SITES / "witness", tmp_path_factory.mktemp("belonging") / "app")
    made.create()
    made.ask("scale", "web=3")
    yield made
    made.delete()


class Guest:
    """One browser at one address: it keeps the cookies that it is given."""

    def __init__(self, made: Witness, number: int = 0, *, keeps_cookies: bool = False) -> None:
        self._made, self._keeps, self._cookie = made, keeps_cookies, ""
        self._address = f"127.7.{number // 250}.{number % 250 + 1}"

    def visit(self) -> str:
        """The instance that answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self._made.site.port, timeout=20, source_address=(self._address, 0))
        try:
            connection.request(
                "GET", "/me", headers={"Host": self._made.site.authority} | ({"Cookie": self._cookie} if self._cookie else {})
            )
            answer = connection.getresponse()
            if self._keeps and (cookie := answer.getheader("set-cookie")):
                self._cookie = cookie.partition(";")[0]
            return str(json.loads(answer.read())["instance"])
        finally:
            connection.close()


def visits(guests: list[Guest]) -> list[str]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(Guest.visit, guests))


def test_without_affinity_visitors_are_spread(three: Witness) -> None:
    assert len(set(visits([Guest(three)] * 60))) == 3


def test_all_visitors_of_one_host_name_reach_one_instance(three: Witness) -> None:
    three.ask("settings", "--affinity", "host")
    assert len(set(visits([Guest(three, number) for number in range(60)]))) == 1


@pytest.mark.parametrize("affinity", ["cookie", "address"])
def test_a_visitor_stays_with_one_instance_and_few_move_when_a_fourth_comes(three: Witness, affinity: str, tell: Tell) -> None:
    three.ask("scale", "web=3")
    three.ask("settings", "--affinity", affinity)
    guests = [Guest(three, number, keeps_cookies=affinity == "cookie") for number in range(VISITORS)]
    first = visits(guests)
    assert len(set(first)) == 3
    assert visits(guests) == first
    assert visits(guests) == first
    three.ask("scale", "web=4")
    now = visits(guests)
    moved = sum(a != b for a, b in zip(first, now, strict=True))
    tell(f"affinity by {affinity}, 3 → 4 instances: {moved} of {VISITORS} visitors moved")
    assert len(set(now)) == 4
    assert visits(guests) == now
    assert moved <= VISITORS * 0.36, "a quarter, and what chance adds"
    assert all(b not in first for a, b in zip(first, now, strict=True) if a != b), "they moved to an instance that was there before"


def test_visitors_stay_over_a_deploy_of_another_release(three: Witness) -> None:
    three.ask("settings", "--affinity", "host")
    three.deploy("two")
    assert len(set(visits([Guest(three, number) for number in range(40)]))) == 1
