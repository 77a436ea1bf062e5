"""Alice's code lives on a forge elsewhere: what is pushed there goes online here, and pull requests get previews."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sitewright.testing.elsewhere import elsewhere
from sitewright.testing.forge import TOKEN, Delivery, Forge
from sitewright.testing.people import Person, await_it
from sitewright.testing.platform import Platform
from sitewright.testing.visitor import VisitedSite

Tell = Callable[[str], None]
PROJECT = "alice/notes"


class Story:
    """The site `notes`, connected with the forge."""

    def __init__(self, platform: Platform, forge: Forge) -> None:
        self.platform, self.forge = platform, forge
        self.site = platform.site("notes")
        body = {"url": forge.clone_url(PROJECT), "vendor": "gitea", "token": TOKEN}
        told = self.api("PUT", "/connection", json=body)
        self.hook_path, self.secret = httpx.URL(told["hook"]["url"]).path, told["hook"]["secret"]

    def api(self, method: str, path: str, **options: Any) -> Any:
        """One answer of the API about the site."""
        answer = self.platform.api(method, f"/sites/notes{path}", **options)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def send(self, sent: Delivery) -> None:
        """As the forge does it."""
        address = f"http://127.0.0.1:{self.platform.settings.http_port}{self.hook_path}"
        answer = httpx.post(address, content=sent.body, headers={**sent.headers, "host": self.platform.settings.manager_host}, timeout=30)
        assert answer.status_code == 202, answer.text

    def commit(self, word: str, branch: str = "main", ref: str = "") -> str:
        return self.forge.commit(PROJECT, branch, {"index.html": f"<p>{word}</p>"}, ref=ref, root=bool(ref))

    def pull(self, number: int, action: str, head: str, **said: Any) -> None:
        self.send(self.forge.pull(PROJECT, self.secret, number, action, head=head, **said))

    def preview(self, number: int) -> VisitedSite:
        return self.platform.site(f"preview-{number}--notes")


def shows(site: VisitedSite, word: str) -> Callable[[], bool]:
    def looked() -> bool:
        answer = site.get("/")
        return answer.status_code == 200 and word in answer.text

    return looked


@pytest.fixture(scope="module")
def story(platform: Platform, alice: Person, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    alice.cli("sites", "create", "notes", "--team", "choir")
    with elsewhere() as listener, Forge(tmp_path_factory.mktemp("forge"), listener) as forge:
        forge.create(PROJECT)
        forge.commit(PROJECT, "main", {"index.html": "<p>one</p>"})
        yield Story(platform, forge)
    alice.cli("sites", "delete", "notes", "--confirm", "notes")


def test_connecting_puts_the_default_branch_online_and_makes_the_web_hook(story: Story) -> None:
    await_it(shows(story.site, "one"), "the first release", 60)
    connection = story.api("GET", "/connection")
    assert connection["branch"] == "main"
    assert connection["hook"]["made"]
    assert story.forge.said[PROJECT].hooks[0]["config"]["secret"] == story.secret


def test_a_push_there_is_online_here_and_told_there(story: Story, tell: Tell) -> None:
    before = story.forge.refs(PROJECT)["refs/heads/main"]
    new = story.commit("two")
    began = time.monotonic()
    story.send(story.forge.pushed(PROJECT, story.secret, "refs/heads/main", before, new))
    await_it(shows(story.site, "two"), "the pushed page", 60)
    tell(f"from a web hook to the changed page online: {time.monotonic() - began:.2f} s")
    statuses = story.forge.said[PROJECT].statuses
    await_it(lambda: any(one["sha"] == new and one["state"] == "success" for one in statuses), "the status", 30)


def test_a_pull_request_gets_an_address_of_its_own_until_it_is_merged(story: Story, alice: Person) -> None:
    story.api("PATCH", "/previews", json={"makes": "pull_requests"})
    head = story.commit("proposed", ref="refs/pull/7/head")
    story.pull(7, "opened", head)
    await_it(shows(story.preview(7), "proposed"), "the preview", 60)
    assert "two" in story.site.get("/").text
    comments = story.forge.said[PROJECT].comments
    await_it(lambda: any("preview-7--notes" in one["body"] for one in comments.values()), "the comment", 30)
    assert "#7" in alice.cli("previews", "notes").stdout
    story.pull(7, "closed", head, merged=True)
    await_it(lambda: "proposed" not in story.preview(7).get("/").text, "the removal", 60)


def test_a_strangers_pull_request_waits_until_bob_allows_it(story: Story, bob: Person) -> None:
    head = story.commit("from a stranger", ref="refs/pull/8/head")
    story.pull(8, "opened", head, head_project="charlie/notes", author="charlie")

    def listed() -> dict[str, Any]:
        return next((one for one in story.api("GET", "/previews")["items"] if one["number"] == 8), {})

    await_it(lambda: bool(listed()), "the waiting row", 30)
    assert listed()["waits"]
    assert listed()["channel"] == ""
    bob.cli("previews", "allow", "notes", listed()["id"])
    await_it(shows(story.preview(8), "from a stranger"), "the preview", 60)


def test_a_manager_that_is_killed_right_after_the_web_hook_acts_upon_it_when_it_is_back(story: Story, platform: Platform) -> None:
    before = story.forge.refs(PROJECT)["refs/heads/main"]
    new = story.commit("three")
    story.send(story.forge.pushed(PROJECT, story.secret, "refs/heads/main", before, new))
    killed = platform.part_pid("manager")
    os.kill(killed, signal.SIGKILL)
    assert "two" in story.site.get("/").text or "three" in story.site.get("/").text
    await_it(shows(story.site, "three"), "the page after the kill", 60)
    await_it(platform.ready, "the manager", 60)
    pushed = [one for one in story.api("GET", "/deliveries")["items"] if new[:10] in one["summary"]]
    assert [one["outcome"] for one in pushed] == ["acted"]


def test_nothing_of_the_token_is_in_a_log(story: Story, platform: Platform) -> None:
    logs = [path for path in Path(platform.settings.home).rglob("*.log") if path.is_file()]
    texts = [platform.output.read_text(errors="replace"), *(path.read_text(errors="replace") for path in logs)]
    assert not any(TOKEN in text or story.secret in text for text in texts)
