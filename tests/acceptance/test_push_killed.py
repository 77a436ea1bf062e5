"""kill -9 of any part in the middle of a push: it goes on or fails in words, and what visitors get is one whole release or the other."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

from sitewright.testing.crowd import Crowd, Errand
from sitewright.testing.people import Code, Person, await_it
from sitewright.testing.platform import Platform
from sitewright.testing.visitor import VisitedSite

Tell = Callable[[str], None]
PARTS = ("node", "manager", "nats", "ssh")
# Both halves of a release are read at each visit: a mixture of two would show.
APP = """import time
from pathlib import Path

from flask import Flask

WORD = "{word}"
app = Flask(__name__)
time.sleep({start})


@app.get("/")
def index():
    return f"{{WORD}} {{Path('word.txt').read_text()}}"
"""
BUILD = "import sys, time\nprint('the build has begun', flush=True)\ntime.sleep(1.5)\n"


def version(word: str, *, start: float = 0.0) -> dict[str, str]:
    """A release that takes *start* seconds to start."""
    return {"app.py": APP.format(word=word, start=start), "word.txt": word}


def whole(status: int, body: str) -> bool:
    """An answer made by one release."""
    words = body.split()
    return status == 200 and len(words) == 2 and words[0] == words[1]


@pytest.fixture(scope="module")
def code(alice: Person) -> Iterator[Code]:
    alice.cli("sites", "create", "sturdy", "--team", "choir")
    made = Code(alice, "sturdy")
    made.begin({**version("zero"), "requirements.txt": "flask\n"})
    made.push()
    yield made
    alice.cli("sites", "delete", "sturdy", "--confirm", "sturdy")


@pytest.fixture(scope="module")
def site(platform: Platform, code: Code) -> VisitedSite:
    return platform.site("sturdy")


def kill(platform: Platform, part: str) -> None:
    """kill -9 by its pid, then wait until the platform is well again."""
    before = platform.part_pid(part)
    assert before > 0, f"{part} is not running"
    os.kill(before, signal.SIGKILL)
    await_it(lambda: platform.part_pid(part) not in (0, before) and platform.ready(), f"{part} again", 40)


def pushing(code: Code) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["git", "push", "sitewright", "main"],
        cwd=code.folder,
        env=code.person.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def settled(platform: Platform) -> Callable[[], bool]:
    return lambda: not platform.api("GET", "/sites/sturdy").json()["operation"]


@pytest.mark.parametrize("when", ["while it is received", "while it is built", "while it starts"])
@pytest.mark.parametrize("part", PARTS)
def test_a_push_that_was_cut_off_ends_well_or_in_words(
    code: Code, site: VisitedSite, platform: Platform, part: str, when: str, tell: Tell
) -> None:
    word = f"{part}-{when.rpartition(' ')[2]}"
    before = code.git("ls-remote", "sitewright", "refs/heads/main").stdout.split()[0]
    requirements = "flask\n" + "".join(f"# {word} {number}\n" for number in range(3)) if when.endswith("built") else None
    files = version(word, start=1.0 if when.endswith("starts") else 0.0)
    commit = code.commit(word, {**files, **({"requirements.txt": requirements} if requirements else {})})
    with Crowd(site, rate=50.0, connections=4, errand=Errand("/", good=whole)) as crowd:
        process = pushing(code)
        await_it(reached(platform, process, when), f"the push, {when}", 30)
        kill(platform, part)
        said, _ = process.communicate(timeout=120)
        await_it(settled(platform), "the end of its operation", 90)
        crowd.go_on(20)
    assert crowd.failures == [], crowd.told()
    there = code.git("ls-remote", "sitewright", "refs/heads/main").stdout.split()[0]
    tell(f"{part} killed {when}: git ended with {process.returncode}, the site is {'new' if there == commit else 'as it was'}")
    assert there in {before, commit}
    assert site.get("/").text.split()[0] == (word if there == commit else code.git("show", f"{before}:word.txt").stdout)
    assert "Traceback" not in said
    if there != commit:
        assert process.returncode != 0, said
        code.push()
        assert site.get("/").text == f"{word} {word}"


def reached(platform: Platform, process: subprocess.Popen[str], when: str) -> Callable[[], bool]:
    """Whether the push has got that far, as the API tells of its operation."""

    def far_enough() -> bool:
        if when.endswith("received") or process.poll() is not None:
            return True
        operation = platform.api("GET", "/sites/sturdy").json()["operation"]
        running = [step["name"] for step in (operation or {}).get("steps", []) if step["state"] == "running"]
        wanted = {"build", "built"} if when.endswith("built") else set(running) - {"build", "built", "fetch", "prepare"}
        return bool(set(running) & wanted)

    return far_enough


def test_the_pusher_goes_away_and_the_deploy_goes_on(code: Code, site: VisitedSite, platform: Platform) -> None:
    code.commit("Gone", version("gone", start=1.0))
    process = pushing(code)
    await_it(reached(platform, process, "while it is built"), "the build", 30)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=10)
    assert process.stdout is not None
    process.stdout.close()
    await_it(lambda: site.get("/").text == "gone gone", "what was pushed", 60)
    await_it(settled(platform), "the end of its operation", 30)
    assert code.git("ls-remote", "sitewright", "refs/heads/main").stdout.split()[0] == code.head()
