"""A site of the tests that is connected with a forge, whose fake node fetches what the forge has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.test import Client

from sitewright.domain.events import EventKind
from sitewright.manager.operations.models import Operation
from sitewright.manager.repositories import deliveries, reports
from sitewright.manager.repositories.models import Connection, Delivery
from sitewright.testing.forge import TOKEN, Forge
from sitewright.testing.forge import Delivery as Sent
from sitewright.testing.stage import Stage

PROJECT = "alice/notes"


def deploys_of(commit: str) -> list[Operation]:
    """The deploys of that very commit."""
    return [one for one in Operation.objects.filter(kind="deploy") if one.params["source"].get("commit") == commit]


class Scene:
    """A connected site with previews, its forge, and everything that follows from a web hook."""

    def __init__(self, forge: Forge, stage: Stage, api: Callable[..., Any]) -> None:
        self.forge, self.stage, self.api = forge, stage, api
        self.first = forge.commit(PROJECT, "main", {"index.html": "Hello"})
        self.made = 0
        answer = api("PUT", "/sites/guestbook/connection", {"url": forge.clone_url(PROJECT), "vendor": "gitea", "token": TOKEN})
        self.secret = answer.json()["hook"]["secret"]
        self.switch("pull_requests")
        self.play()

    def switch(self, makes: str) -> None:
        """Of what previews are made."""
        answer = self.api("PATCH", "/sites/guestbook/previews", {"makes": makes})
        assert answer.status_code == 200, answer.content

    def play(self) -> None:
        """Everything that follows happens, and is told."""
        self.stage.node.repository.remote = self.forge.refs(PROJECT)
        deliveries.act_due()
        self.stage.play()
        self.report()

    def report(self) -> None:
        """Tell the forge what there is to tell."""
        reports.settle()
        while reports.send_due():
            pass

    def head(self, number: int, branch: str = "feature") -> str:
        """A new commit of a pull request."""
        self.made += 1
        return self.forge.commit(PROJECT, branch, {"index.html": f"Version {self.made}"}, ref=f"refs/pull/{number}/head", root=True)

    def pull(self, number: int, action: str, head: str, **said: Any) -> Delivery:
        """The forge tells of a pull request, and everything that follows happens."""
        self.send(self.forge.pull(PROJECT, self.secret, number, action, head=head, **said))
        self.play()
        return Delivery.objects.filter(again_of=None).latest("received_at")

    def send(self, sent: Sent) -> None:
        """A web hook arrives."""
        self.stage.clock.advance(1)
        client = Client(headers={"Host": "sitewright.localhost"})
        hook_id = Connection.objects.get().hook_id
        answer = client.generic("POST", f"/hooks/{hook_id}", sent.body, content_type="application/json", headers=sent.headers)
        assert answer.status_code == 202, answer.content

    def previews(self, state: str = "open") -> list[dict[str, Any]]:
        """As the API lists them."""
        found: list[dict[str, Any]] = self.api("GET", f"/sites/guestbook/previews?state={state}").json()["items"]
        return found

    def comments(self) -> list[str]:
        """Of all pull requests over there."""
        return [one["body"] for one in self.forge.said[PROJECT].comments.values()]

    def statuses(self, commit: str) -> list[tuple[str, str]]:
        """What was told of a commit."""
        return [(one["context"], one["state"]) for one in self.forge.said[PROJECT].statuses if one["sha"] == commit]

    def told(self, kind: EventKind) -> list[str]:
        """The timeline's lines of that kind."""
        items = self.api("GET", "/sites/guestbook/events").json()["items"]
        return [one["text"] for one in items if one["kind"] == kind.value]
