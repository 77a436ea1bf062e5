"""Twenty teams push at once on this machine: every push ends well, in a fair order, and a busy site hardly notices."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from sitewright.testing.crowd import Crowd
from sitewright.testing.people import Code, Person
from sitewright.testing.platform import Platform

Tell = Callable[[str], None]
TEAMS = 20
FLASK = "from flask import Flask\n\napp = Flask(__name__)\n\n\n@app.get('/')\ndef index():\n    return 'team {number}'\n"


def code_of(number: int) -> dict[str, str]:
    """Every fourth one is a Flask app, the others are pages."""
    if number % 4 == 0:
        return {"app.py": FLASK.format(number=number), "requirements.txt": "flask\n"}
    return {"index.html": f"<!doctype html><p>team {number}</p>\n"}


@pytest.fixture(scope="module")
def codes(alice: Person) -> Iterator[list[Code]]:
    made = [Code(alice, f"crew-{number}") for number in range(TEAMS)]
    for number, code in enumerate(made):
        alice.cli("sites", "create", code.site)
        code.begin(code_of(number))
    yield made
    for code in made:
        alice.cli("sites", "delete", code.site, "--confirm", code.site, "--no-wait")


def test_all_of_them_finish_and_a_busy_site_goes_on(platform: Platform, alice: Person, codes: list[Code], tell: Tell) -> None:
    alice.cli("sites", "create", "calm", "--team", "choir", "--template", "guestbook")
    calm = platform.site("calm")

    def push(code: Code) -> float:
        began = time.monotonic()
        code.push(seconds=300)
        return time.monotonic() - began

    with Crowd(calm, rate=50.0, connections=4) as crowd, ThreadPoolExecutor(TEAMS) as pool:
        crowd.go_on(50)
        began = time.monotonic()
        took = list(pool.map(push, codes))
        together = time.monotonic() - began
    crowd.all_answered(tell, f"{TEAMS} pushes at once")
    tell(f"{TEAMS} pushes at once: {together:.1f} s together, median {statistics.median(took):.1f} s, slowest {max(took):.1f} s")
    for number, code in enumerate(codes):
        assert f"team {number}" in platform.site(code.site).get("/").text
        told = [item["text"] for item in platform.api("GET", f"/sites/{code.site}/events").json()["items"]]
        assert not [text for text in told if "memory" in text.lower()], told
    alice.cli("sites", "delete", "calm", "--confirm", "calm")
