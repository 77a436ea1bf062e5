"""One site in several versions: staging, previews, promoting, going back, freezing; a live one that is edited; who did it is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sitewright.testing.crowd import Crowd
from sitewright.testing.people import Code, Person, await_it
from sitewright.testing.platform import Platform
from sitewright.testing.visitor import VisitedSite


def page(word: str) -> dict[str, str]:
    return {"index.html": f"<!doctype html><title>news</title><p>{word}</p>\n"}


def line(platform: Platform, site: str, *words: str) -> dict[str, Any]:
    """The newest line of the timeline that has all these words. Raises AssertionError."""
    items: list[dict[str, Any]] = platform.api("GET", f"/sites/{site}/events").json()["items"]
    found = [item for item in items if all(word in item["text"] for word in words)]
    assert found, f"{words} in {[item['text'] for item in items]}"
    return found[0]


@pytest.fixture(scope="module")
def news(platform: Platform, alice: Person) -> Iterator[Code]:
    alice.cli("sites", "create", "news", "--team", "choir")
    code = Code(alice, "news")
    code.begin(page("one"))
    code.push()
    yield code
    alice.cli("sites", "delete", "news", "--confirm", "news")


@pytest.fixture(scope="module")
def production(platform: Platform, news: Code) -> VisitedSite:
    return platform.site("news")


@pytest.fixture(scope="module")
def staging(platform: Platform, news: Code) -> VisitedSite:
    news.person.cli("channels", "create", "news", "staging", "--branch", "next", "--copy-env")
    return platform.site("staging--news")


def test_a_branch_leads_to_its_channel_only(news: Code, production: VisitedSite, staging: VisitedSite) -> None:
    news.git("switch", "-q", "-c", "next")
    news.commit("Two", page("two"))
    assert "staging" in news.push("next").stderr
    assert "<p>two</p>" in staging.get("/").text
    assert "<p>one</p>" in production.get("/").text


def test_promoting_gives_the_same_release_without_a_build_and_without_a_gap(
    news: Code, production: VisitedSite, platform: Platform
) -> None:
    with Crowd(production, rate=100.0, connections=4) as crowd:
        said = news.person.cli("promote", "news", "--from", "staging", "--to", "production")
    assert "Building" not in said.stderr
    assert crowd.failures == []
    assert "<p>two</p>" in production.get("/").text
    assert line(platform, "news", "staging")["who"] == "alice@example.org"
    digests = [
        platform.api("GET", f"/sites/news/releases?channel={name}").json()["items"][0]["droplet"] for name in ("staging", "production")
    ]
    assert digests[0] == digests[1]


def test_rolling_back_is_quick_and_says_who(news: Code, production: VisitedSite, platform: Platform, bob: Person) -> None:
    with Crowd(production, rate=100.0, connections=4) as crowd:
        bob.cli("rollback", "news")
    assert crowd.failures == []
    assert "<p>one</p>" in production.get("/").text
    assert line(platform, "news", "1")["who"] == "bob@example.org"
    answer = platform.api("POST", "/sites/news/rollback", json={"release": 2})
    assert answer.status_code == 202, answer.text
    await_it(lambda: "<p>two</p>" in production.get("/").text, "the release that the API asked for")


def test_variables_of_a_channel_are_its_own(news: Code, platform: Platform) -> None:
    news.person.cli("env", "set", "news", "PLACE=stage", "--channel", "staging")
    assert platform.api("GET", "/sites/news/env").json()["items"] == []
    assert [item["name"] for item in platform.api("GET", "/sites/news/env?channel=staging").json()["items"]] == ["PLACE"]


def test_a_frozen_channel_refuses_a_push_and_says_until_when_and_why(news: Code, production: VisitedSite) -> None:
    news.git("switch", "-q", "main")
    news.git("merge", "-q", "--ff-only", "next")
    news.person.cli("freeze", "news", "--until", "2h", "--reason", "exams")
    news.commit("Three", page("three"))
    done = news.push(check=False)
    assert done.returncode != 0
    assert "exams" in done.stderr
    assert "<p>two</p>" in production.get("/").text
    news.person.cli("unfreeze", "news")
    news.push()
    assert "<p>three</p>" in production.get("/").text


def test_a_protected_channel_takes_pushes_from_those_with_the_role_only(news: Code, bob: Person, production: VisitedSite) -> None:
    news.person.cli("channels", "set", "news", "production", "--protect", "--deploy-role", "owner")
    address = news.git("remote", "get-url", "sitewright").stdout.strip()
    bob.run("git", "clone", "-q", address, "news")
    theirs = Code(bob, "news")
    theirs.commit("Bob's", page("bob"))
    done = bob.run("git", "push", "origin", "main", folder=theirs.folder, check=False)
    assert done.returncode != 0
    assert "owner" in done.stderr.lower()
    assert "<p>three</p>" in production.get("/").text
    news.git("commit", "-q", "--amend", "-m", "Three, in other words")
    forced = news.push("--force", "main", check=False)
    assert forced.returncode != 0
    news.git("reset", "-q", "--hard", "sitewright/main")
    news.person.cli("channels", "set", "news", "production", "--unprotect")


def test_a_branch_gets_a_preview_that_goes_with_it(news: Code, platform: Platform) -> None:
    news.person.cli("previews", "set", "news", "--of", "branches")
    news.git("switch", "-q", "-c", "red")
    news.commit("Red", page("red"))
    news.push("red")

    def shown() -> bool:
        items = platform.api("GET", "/sites/news/previews").json()["items"]
        found = [item for item in items if item.get("branch") == "red" and item.get("url")]
        return bool(found) and "<p>red</p>" in platform.site(found[0]["url"].split("//")[1].split(".")[0]).get("/").text

    await_it(shown, "the preview", 60)
    line(platform, "news", "review")
    news.push("--delete", "red")
    await_it(lambda: not open_previews(platform), "the end of the preview", 60)
    news.git("switch", "-q", "main")


def open_previews(platform: Platform) -> list[Any]:
    items = platform.api("GET", "/sites/news/previews").json()["items"]
    return [item for item in items if item.get("url") and item.get("state") not in {"closed", "merged"}]


def test_promoting_and_going_back_over_the_api_says_who(news: Code, production: VisitedSite, platform: Platform, bob: Person) -> None:
    news.git("switch", "-q", "next")
    news.commit("Blue", page("blue"))
    news.push("--force", "next")
    answer = bob.api("POST", "/sites/news/channels/production/adopt", json={"from": "staging"})
    assert answer.status_code == 202, answer.text
    await_it(lambda: "<p>blue</p>" in production.get("/").text, "the promoted release")
    assert line(platform, "news", "staging")["who"] == "bob@example.org"
    await_it(lambda: bob.api("POST", "/sites/news/rollback", json={}).status_code == 202, "the end of the operation before")
    await_it(lambda: "<p>blue</p>" not in production.get("/").text, "the release before")
    news.git("switch", "-q", "main")


def test_charlie_changes_nothing_of_it(news: Code, charlie: Person, production: VisitedSite) -> None:
    before = production.get("/").text
    asked = (
        ("GET", "/channels", None),
        ("POST", "/channels", {"name": "mine"}),
        ("PATCH", "/channels/production", {"branch": "mine"}),
        ("DELETE", "/channels/staging?confirm=staging", None),
        ("POST", "/channels/production/adopt", {"from": "staging"}),
        ("POST", "/channels/production/freeze", {"until": "2099-01-01T00:00:00Z"}),
        ("POST", "/rollback", {}),
        ("GET", "/releases", None),
        ("GET", "/releases/1/changes", None),
        ("GET", "/branches", None),
        ("GET", "/commits", None),
        ("GET", "/edits", None),
        ("GET", "/previews", None),
        ("PATCH", "/previews", {"makes": "branches"}),
        ("GET", "/builds", None),
        ("GET", "/connection", None),
        ("PUT", "/connection", {"url": "https://git.example.org/charlie/mine.git"}),
        ("GET", "/deliveries", None),
        ("POST", "/caches/clear", None),
    )
    for method, path, body in asked:
        answer = charlie.api(method, f"/sites/news{path}", json=body)
        assert answer.status_code == 404, f"{method} {path}: {answer.status_code} {answer.text[:200]}"
    assert production.get("/").text == before


def test_a_channel_is_removed_and_its_address_with_it(news: Code, staging: VisitedSite) -> None:
    news.person.cli("channels", "remove", "news", "staging", "--confirm", "staging")
    await_it(lambda: staging.get("/").status_code == 404, "the end of its address")


@pytest.fixture
def live(platform: Platform, alice: Person) -> Iterator[Code]:
    """A site that runs from its folder, with its code pushed and then edited on the site."""
    alice.cli("sites", "create", "diary", "--team", "choir", "--live")
    code = Code(alice, "diary")
    code.begin(page("one"))
    code.push()
    edit(platform, "edited")
    yield code
    alice.cli("sites", "delete", "diary", "--confirm", "diary")
    alice.run("rm", "-r", str(code.folder))


def edit(platform: Platform, word: str) -> None:
    """Change the page on the site itself, as the editor in the browser does."""
    import base64

    path = "/sites/diary/files/content?path=index.html"
    version = platform.api("GET", path).json()["version"]
    text = page(word)["index.html"].encode()
    answer = platform.api("PUT", path, json={"data": base64.b64encode(text).decode(), "version": version})
    assert answer.is_success, answer.text


def shown(platform: Platform) -> str:
    return platform.site("diary").get("/").text


def test_a_push_over_unpublished_edits_is_refused_with_the_choices(live: Code, platform: Platform) -> None:
    live.commit("Two", page("two"))
    done = live.push(check=False)
    assert done.returncode != 0
    assert all(choice in done.stderr for choice in ("publish", "stash", "overwrite"))
    assert "index.html" in done.stderr
    assert "<p>edited</p>" in shown(platform)
    assert "index.html" in live.person.cli("edits", "diary").stdout


def test_published_edits_come_back_with_a_pull(live: Code, platform: Platform) -> None:
    live.person.cli("publish", "diary", "-m", "Written on the site")
    assert "Everything is published" in live.person.cli("edits", "diary").stdout
    live.git("pull", "-q", "--ff-only", "sitewright", "main")
    assert "edited" in (live.folder / "index.html").read_text()
    assert "Written on the site" in live.git("log", "-1", "--format=%an %s").stdout
    live.commit("Two", page("two"))
    live.push()
    assert "<p>two</p>" in shown(platform)


def test_publishing_with_the_push_keeps_the_edits_and_asks_to_build_on_them(live: Code, platform: Platform) -> None:
    live.commit("Beside it", {"about.html": "<p>about</p>\n"})
    first = live.push("-o", "publish", "main", check=False)
    assert first.returncode != 0
    await_it(lambda: "Everything is published" in live.person.cli("edits", "diary").stdout, "the published edits")
    live.git("pull", "-q", "--rebase", "sitewright", "main")
    live.push()
    assert "<p>edited</p>" in shown(platform)
    assert "about" in platform.site("diary").get("/about.html").text


def test_stashed_edits_are_in_a_branch_and_the_push_goes_on(live: Code, platform: Platform) -> None:
    live.commit("Two", page("two"))
    live.push("-o", "stash", "main")
    assert "<p>two</p>" in shown(platform)
    [stash] = [name for name in live.refs() if name.startswith("refs/heads/") and name != "refs/heads/main"]
    live.git("fetch", "-q", "sitewright", stash)
    assert "edited" in live.git("show", "FETCH_HEAD:index.html").stdout


def test_overwritten_edits_are_gone(live: Code, platform: Platform) -> None:
    live.commit("Two", page("two"))
    live.push("-o", "overwrite", "main")
    assert "<p>two</p>" in shown(platform)
    assert set(live.refs()) - {"HEAD"} == {"refs/heads/main"}
