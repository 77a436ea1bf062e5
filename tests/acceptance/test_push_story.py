"""Alice pushes with git: what she reads, what her visitors get, and what happens when her code is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from sitewright.testing.crowd import Crowd
from sitewright.testing.people import Code, Person
from sitewright.testing.platform import Platform
from sitewright.testing.visitor import VisitedSite

Tell = Callable[[str], None]
FLASK = "from flask import Flask\n\napp = Flask(__name__)\n\n\n@app.get('/')\ndef index():\n    return '{word}'\n"
REQUIREMENTS = {"requirements.txt": "flask\n"}
PAGE = {"index.html": "<!doctype html><title>garden</title><p>one</p>\n"}


def flask(word: str) -> dict[str, str]:
    return {"app.py": FLASK.format(word=word)}


@pytest.fixture(scope="module")
def shop(platform: Platform, alice: Person) -> Iterator[Code]:
    """A Flask site that was made with nothing in it, and its code on Alice's machine."""
    alice.cli("sites", "create", "shop", "--team", "choir")
    code = Code(alice, "shop")
    code.begin({**flask("one"), **REQUIREMENTS})
    yield code
    alice.cli("sites", "delete", "shop", "--confirm", "shop")


@pytest.fixture(scope="module")
def visited(platform: Platform, shop: Code) -> VisitedSite:
    return platform.site("shop")


def test_the_first_push_shows_the_build_and_puts_it_online(shop: Code, visited: VisitedSite, tell: Tell) -> None:
    began = time.monotonic()
    said = shop.push().stderr
    tell(f"first push of a Flask site, until git ends: {time.monotonic() - began:.1f} s")
    assert visited.get("/").text == "one"
    assert "remote:" in said
    assert "flask" in said.lower(), "the build's log is part of the push"
    assert "http://shop.localhost" in said
    assert shop.refs()["refs/heads/main"] == shop.head()


def test_a_changed_line_is_live_and_no_request_fails(shop: Code, visited: VisitedSite, tell: Tell) -> None:
    for word in ("two", "three"):
        shop.commit(f"Say {word}", flask(word))
        with Crowd(visited, rate=100.0) as crowd:
            crowd.go_on(50)
            began = time.monotonic()
            shop.push()
            took = time.monotonic() - began
            crowd.forget()
            crowd.go_on(50)
        crowd.all_answered(tell, f"a push of one changed line, {took:.2f} s")
        assert set(crowd.bodies) == {word}


def test_what_cannot_be_installed_is_refused_with_the_reason_and_the_old_release_serves(shop: Code, visited: VisitedSite) -> None:
    good, before = shop.head(), shop.refs()
    shop.commit("Wants too much", {"requirements.txt": "flask\nno-such-package-of-alice==1.0\n"})
    with Crowd(visited, rate=50.0, connections=4) as crowd:
        done = shop.push(check=False)
    assert done.returncode != 0
    assert "no-such-package-of-alice" in done.stderr
    assert crowd.failures == []
    assert visited.get("/").text == "three"
    assert shop.refs() == before, "the branch stays where it was"
    shop.git("reset", "-q", "--hard", good)


def test_what_cannot_start_is_refused_with_the_reason_and_the_old_release_serves(shop: Code, visited: VisitedSite) -> None:
    good, before = shop.head(), shop.refs()
    shop.commit("Breaks", {"app.py": "import nonsense_of_alice\n" + FLASK.format(word="broken")})
    with Crowd(visited, rate=50.0, connections=4) as crowd:
        done = shop.push(check=False)
    assert done.returncode != 0
    assert "nonsense_of_alice" in done.stderr
    assert crowd.failures == []
    assert visited.get("/").text == "three"
    assert shop.refs() == before
    shop.git("reset", "-q", "--hard", good)


def test_the_corrected_push_goes_through(shop: Code, visited: VisitedSite) -> None:
    shop.commit("Works again", flask("four"))
    shop.push()
    assert visited.get("/").text == "four"


def test_a_clone_is_the_same_code(shop: Code, bob: Person) -> None:
    address = shop.git("remote", "get-url", "sitewright").stdout.strip()
    bob.run("git", "clone", "-q", address, "shop")
    theirs = Code(bob, "shop")
    assert theirs.head() == shop.head()
    assert (theirs.folder / "app.py").read_text() == (shop.folder / "app.py").read_text()
    shallow = bob.home / "shallow"
    bob.run("git", "clone", "-q", "--depth", "1", address, str(shallow))
    assert bob.run("git", "rev-list", "--count", "HEAD", folder=shallow).stdout.strip() == "1"


def test_the_other_developer_pushes_and_alice_pulls(shop: Code, bob: Person, visited: VisitedSite) -> None:
    theirs = Code(bob, "shop")
    theirs.commit("Five", flask("five"))
    bob.run("git", "push", "-q", "origin", "main", folder=theirs.folder)
    assert visited.get("/").text == "five"
    assert "bob@example.org" in str(shop.person.platform.api("GET", "/sites/shop/events").json()["items"][:6])
    stale = shop.push(check=False)
    assert stale.returncode == 0 or "fetch first" in stale.stderr
    shop.git("pull", "-q", "--ff-only", "sitewright", "main")
    assert shop.head() == theirs.head()


def test_branches_and_tags_are_kept_and_not_deployed(shop: Code, visited: VisitedSite) -> None:
    shop.git("branch", "-q", "idea")
    shop.git("tag", "v1")
    shop.push("idea", "v1")
    assert {"refs/heads/idea", "refs/tags/v1"} <= shop.refs().keys()
    shop.push("--delete", "idea", "v1")
    assert not {"refs/heads/idea", "refs/tags/v1"} & shop.refs().keys()
    assert not [name for name in shop.refs() if "sitewright" in name], "what the platform keeps for itself is not shown"
    assert visited.get("/").text == "five"


def test_a_forced_push_takes_history_back_and_the_branch_of_a_channel_cannot_be_deleted(shop: Code, visited: VisitedSite) -> None:
    deleted = shop.push("--delete", "main", check=False)
    assert deleted.returncode != 0
    assert "production" in deleted.stderr
    shop.git("reset", "-q", "--hard", "HEAD~1")
    shop.commit("Another five", flask("six"))
    assert shop.push(check=False).returncode != 0
    shop.push("--force", "main")
    assert visited.get("/").text == "six"


def test_who_does_not_know_the_way_is_told_in_words(shop: Code) -> None:
    done = shop.person.ssh("git", check=False)
    assert "alice@example.org" in done.stdout + done.stderr
    lfs = shop.person.ssh("git", "git-lfs-authenticate shop upload", check=False)
    assert lfs.returncode != 0
    assert "LFS" in lfs.stderr


def test_pushing_over_https_with_a_token_is_the_same(platform: Platform, bob: Person) -> None:
    bob.cli("sites", "create", "garden", "--team", "choir")
    code = Code(bob, "garden")
    code.begin(PAGE, https=True)
    assert "remote:" in code.push().stderr
    site = platform.site("garden")
    assert "<p>one</p>" in site.get("/").text
    code.commit("Two", {"index.html": "<!doctype html><p>two</p>\n"})
    code.push()
    assert "<p>two</p>" in site.get("/").text
    code.commit("Broken", {**flask("x"), "requirements.txt": "flask\nno-such-package-of-bob==1.0\n"})
    done = code.push(check=False)
    assert done.returncode != 0
    assert "no-such-package-of-bob" in done.stderr
    assert "<p>two</p>" in site.get("/").text
    platform.cli("sites", "delete", "garden", "--confirm", "garden")


def test_a_template_is_pushed_to_as_soon_as_it_is_cloned(platform: Platform, alice: Person) -> None:
    alice.cli("sites", "create", "paper", "--team", "choir", "--template", "static")
    code = Code(alice, "paper")
    code.begin({"index.html": "<!doctype html><p>mine</p>\n"})
    code.push("--force", "main")
    assert "<p>mine</p>" in platform.site("paper").get("/").text
    alice.cli("sites", "delete", "paper", "--confirm", "paper")
