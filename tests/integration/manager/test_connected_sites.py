"""Sites that take their code from a repository elsewhere: connecting, fetching, deploying, telling the vendor."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.conf import settings as django
from django.utils import timezone

from sitewright.domain.states import BuildState
from sitewright.manager.operations.models import Operation
from sitewright.manager.repositories import deliveries, reports, worker
from sitewright.manager.repositories.models import CommitState, Connection, Delivery, Report
from sitewright.manager.sites.models import Channel
from sitewright.testing.forge import TOKEN, Forge

PROJECT = "alice/notes"


@pytest.fixture
def forge(tmp_path, settings):
    """A server on loopback, which the platform may reach."""
    settings.PLATFORM = settings.PLATFORM.model_copy(update={"extra_egress": "127.0.0.0/8"})
    with Forge(tmp_path / "forge") as made:
        made.create(PROJECT)
        yield made


class Connected:
    """A connected site whose fake node fetches what the forge has."""

    def __init__(self, forge, stage, api):
        self.forge, self.stage, self.api = forge, stage, api
        self.secret = ""

    def connect(self, **more):
        body = {"url": self.forge.clone_url(PROJECT), "vendor": "gitea", "token": TOKEN, **more}
        answer = self.api("PUT", "/sites/guestbook/connection", body)
        assert answer.status_code == 200, answer.content
        self.secret = answer.json()["hook"]["secret"]
        return answer.json()

    def play(self):
        """The fake node has the forge's objects; everything that follows happens."""
        self.stage.node.repository.remote = self.forge.refs(PROJECT)
        deliveries.act_due()
        self.stage.play()
        reports.settle()
        while reports.send_due():
            pass

    def hook(self, sent):
        from django.test import Client

        self.stage.clock.advance(1)
        client = Client(headers={"Host": "sitewright.localhost"})
        hook_id = Connection.objects.get().hook_id
        answer = client.generic("POST", f"/hooks/{hook_id}", sent.body, content_type="application/json", headers=sent.headers)
        assert answer.status_code == 202, answer.content
        self.play()
        return Delivery.objects.filter(again_of=None).latest("received_at")


@pytest.fixture
def connected(forge, stage, api, cast, guestbook):
    return Connected(forge, stage, api(cast.alice))


def deploys():
    return Operation.objects.filter(kind="deploy").order_by("created_at")


def test_connecting_deploys_the_default_branch_and_makes_the_web_hook(connected, forge):
    first = forge.commit(PROJECT, "trunk", {"index.html": "Hello"})
    forge.git(PROJECT, "symbolic-ref", "HEAD", "refs/heads/trunk")
    connected.stage.node.repository.remote_default = "trunk"
    told = connected.connect()
    assert told["vendor"] == "gitea"
    assert told["hook"]["url"].startswith("http://sitewright.localhost:8000/hooks/")
    assert told["operation"]["kind"] == "sync"
    assert TOKEN not in json.dumps(told)
    connected.play()
    channel = Channel.objects.get(name="production")
    assert (channel.branch, channel.commit) == ("trunk", first)
    assert connected.stage.node.repository.head("trunk") == first
    made = forge.said[PROJECT].hooks
    assert [(one["config"]["url"], one["config"]["secret"]) for one in made] == [(told["hook"]["url"], connected.secret)]
    assert connected.api("GET", "/sites/guestbook/connection").json()["hook"] | {"events": []} == {
        "url": told["hook"]["url"],
        "secret": "",
        "made": True,
        "events": [],
    }
    fetch = connected.stage.node.repository.fetches[0]
    assert fetch.credential is not None
    assert (fetch.credential.user, fetch.credential.password) == ("git", TOKEN)


def test_a_push_over_there_is_deployed_and_its_status_told(connected, forge):
    first = forge.commit(PROJECT, "main", {"index.html": "Hello"})
    connected.connect()
    connected.play()
    second = forge.commit(PROJECT, "main", {"index.html": "Hello again"})
    delivery = connected.hook(forge.pushed(PROJECT, connected.secret, "refs/heads/main", first, second))
    assert delivery.outcome == "acted"
    assert Channel.objects.get(name="production").commit == second
    told = [one for one in forge.said[PROJECT].statuses if one["sha"] == second]
    assert told[-1]["state"] == "success"
    assert told[-1]["context"] == "sitewright/production"
    assert told[-1]["target_url"] == "http://guestbook.localhost:8000"
    texts = [one["text"] for one in connected.api("GET", "/sites/guestbook/events").json()["items"]]
    assert any(text.startswith("Fetched from 127.0.0.1") and "alice pushed" in text and "to main" in text for text in texts), texts


def test_other_branches_and_tags_are_stored_and_branch_names_are_matched_exactly(connected, forge):
    first = forge.commit(PROJECT, "main", {"index.html": "Hello"})
    connected.connect()
    connected.play()
    before = deploys().count()
    other = forge.commit(PROJECT, "main2", {"index.html": "Other"})
    forge.git(PROJECT, "update-ref", "refs/tags/main", first)
    connected.hook(forge.pushed(PROJECT, connected.secret, "refs/heads/main2", "", other))
    assert deploys().count() == before
    held = connected.stage.node.repository
    assert (held.head("main2"), held.refs["refs/tags/main"], held.head("main")) == (other, first, first)
    forge.delete(PROJECT, "refs/heads/main2")
    connected.hook(forge.pushed(PROJECT, connected.secret, "refs/heads/main2", other, ""))
    assert held.head("main2") == ""


def test_what_was_pushed_here_is_not_deleted_by_what_is_missing_there(connected, forge):
    forge.commit(PROJECT, "main", {"index.html": "Hello"})
    connected.connect()
    connected.play()
    mine = connected.stage.node.repository.commit("Mine")
    connected.stage.node.repository.refs["refs/heads/mine"] = mine
    connected.api("POST", "/sites/guestbook/connection/fetch")
    connected.play()
    assert connected.stage.node.repository.head("mine") == mine


def test_a_forced_push_over_there_is_followed(connected, forge):
    forge.commit(PROJECT, "main", {"index.html": "Hello"})
    connected.connect()
    connected.play()
    other = forge.commit(PROJECT, "main", {"index.html": "Another beginning"}, root=True)
    connected.hook(forge.pushed(PROJECT, connected.secret, "refs/heads/main", "", other))
    assert Channel.objects.get(name="production").commit == other
    assert connected.stage.node.repository.head("main") == other


def test_a_forced_push_over_there_to_a_protected_channel_is_told_and_not_followed(connected, forge):
    first = forge.commit(PROJECT, "main", {"index.html": "Hello"})
    connected.connect()
    connected.play()
    Channel.objects.filter(name="production").update(protected=True)
    other = forge.commit(PROJECT, "main", {"index.html": "Another beginning"}, root=True)
    connected.hook(forge.pushed(PROJECT, connected.secret, "refs/heads/main", first, other))
    assert Channel.objects.get(name="production").commit == first
    texts = [one["text"] for one in connected.api("GET", "/sites/guestbook/events").json()["items"]]
    assert any("was forced over there" in text and "protected" in text for text in texts)
    connected.stage.node.repository.commits[other] = (first, "Builds on it after all")
    connected.api("POST", "/sites/guestbook/connection/fetch")
    connected.play()
    assert Channel.objects.get(name="production").commit == other


def test_a_build_that_fails_is_told_as_a_failure_and_changes_nothing(connected, forge):
    first = forge.commit(PROJECT, "main", {"index.html": "Hello"})
    connected.connect()
    connected.play()
    connected.stage.node.behaviour.build = BuildState.FAILED
    connected.stage.node.behaviour.build_problem = "The package is not there."
    second = forge.commit(PROJECT, "main", {"index.html": "Broken"})
    connected.hook(forge.pushed(PROJECT, connected.secret, "refs/heads/main", first, second))
    status = [one for one in forge.said[PROJECT].statuses if one["sha"] == second][-1]
    assert (status["state"], status["description"]) == ("failure", "The package is not there.")
    assert "/operations/" in status["target_url"]
    assert Channel.objects.get(name="production").commit == first
    assert connected.stage.node.repository.head("main") == first


def test_a_vendor_that_is_down_is_told_later_and_only_the_newest(connected, forge):
    forge.commit(PROJECT, "main", {"index.html": "Hello"})
    forge.fails = [500, 500, 500]
    connected.connect()
    connected.play()
    assert forge.said[PROJECT].statuses == []
    row = Report.objects.get()
    assert (row.state, row.sent_at) == (CommitState.SUCCESS, None)
    connected.stage.clock.advance(3600)
    forge.fails = []
    reports.send_due()
    assert [one["state"] for one in forge.said[PROJECT].statuses] == ["success"]
    assert Report.objects.get().sent_at is not None


def test_a_token_that_may_not_is_given_up_and_said(connected, forge):
    forge.commit(PROJECT, "main", {"index.html": "Hello"})
    forge.fails = [403] * 50
    connected.connect()
    connected.play()
    for _try in range(5):
        connected.stage.clock.advance(3600)
        reports.send_due()
    assert Report.objects.get().attempts == 3
    told = connected.api("GET", "/sites/guestbook/connection").json()
    assert told["problem"] == "Nothing could be reported back. The answer was 403."


def test_a_fetch_that_fails_is_tried_again_and_then_said(connected, forge):
    forge.commit(PROJECT, "main", {"index.html": "Hello"})
    connected.stage.node.repository.fetch_problem = "The repository asks for a password."
    told = connected.connect()
    connected.play()
    operation = connected.api("GET", f"/operations/{told['operation']['id']}").json()
    assert operation["state"] == "failed"
    assert operation["error"]["message"] == "The repository asks for a password."
    assert len(connected.stage.node.repository.fetches) == 3
    assert connected.api("GET", "/sites/guestbook/connection").json()["problem"] == "The repository asks for a password."
    connected.stage.node.repository.fetch_problem = ""
    assert connected.api("POST", "/sites/guestbook/connection/fetch").status_code == 202
    connected.play()
    assert Channel.objects.get(name="production").branch == "main"
    assert Channel.objects.get(name="production").commit


@pytest.mark.parametrize("write", range(1, 40, 3))
def test_killed_anywhere_a_fetch_deploys_each_commit_once(connected, forge, monkeypatch, write):
    first = forge.commit(PROJECT, "main", {"index.html": "Hello"})
    connected.connect()
    connected.stage.node.repository.remote = forge.refs(PROJECT)
    connected.stage.play_killed(monkeypatch, write)
    assert Channel.objects.get(name="production").commit == first
    assert deploys().count() == 1
    assert not Operation.objects.exclude(state="succeeded").exists()


def test_a_plain_server_is_looked_at_every_few_minutes(connected, forge):
    forge.commit(PROJECT, "main", {"index.html": "Hello"})
    connected.connect(vendor="plain")
    connected.play()
    second = forge.commit(PROJECT, "main", {"index.html": "Hello again"})
    assert worker.poll() == 0
    connected.stage.clock.advance(django.PLATFORM.poll_seconds * 1.2)
    assert worker.poll() == 1
    assert worker.poll() == 0
    connected.play()
    assert Channel.objects.get(name="production").commit == second


def test_a_frozen_channel_is_not_deployed_and_the_timeline_says_why(connected, forge):
    first = forge.commit(PROJECT, "main", {"index.html": "Hello"})
    connected.connect()
    connected.play()
    Channel.objects.update(frozen_until=timezone.now() + timedelta(days=5000), frozen_reason="exams")
    second = forge.commit(PROJECT, "main", {"index.html": "Hello again"})
    connected.hook(forge.pushed(PROJECT, connected.secret, "refs/heads/main", first, second))
    assert Channel.objects.get(name="production").commit == first
    texts = [one["text"] for one in connected.api("GET", "/sites/guestbook/events").json()["items"]]
    assert any("was not deployed" in text and "exams" in text for text in texts)


def test_an_ssh_address_gets_a_deploy_key_whose_private_half_is_never_shown(connected, stage):
    answer = connected.api("PUT", "/sites/guestbook/connection", {"url": "git@git.example.org:alice/notes.git"})
    told = answer.json()
    assert told["url"] == "ssh://git@git.example.org/alice/notes.git"
    assert told["deploy_key"].startswith("ssh-ed25519 ")
    assert "PRIVATE" not in answer.content.decode()
    row = Connection.objects.get()
    assert "PRIVATE" not in row.sealed_deploy_key
    stage.play()
    assert "BEGIN OPENSSH PRIVATE KEY" in stage.node.repository.fetches[0].credential.ssh_key
    assert not Operation.objects.filter(params__icontains="PRIVATE KEY").exists()


def test_changing_the_token_keeps_the_web_hook_and_another_address_forgets_the_token(connected, forge):
    forge.commit(PROJECT, "main", {"index.html": "Hello"})
    connected.connect()
    before = Connection.objects.get()
    again = connected.connect(token="another-token")
    assert again["hook"]["secret"] == ""
    assert again["hook"]["url"].endswith(before.hook_id)
    elsewhere = connected.connect(token="", api_url="https://elsewhere.example.org/api/v1")
    assert not elsewhere["token"]
    moved = connected.connect(url="https://git.example.org/bob/notes.git", token="")
    assert not moved["token"]
    assert moved["hook"]["secret"]
    assert not moved["hook"]["url"].endswith(before.hook_id)


def test_a_connection_is_ended_and_leaves_the_site_as_it_is(connected, forge):
    first = forge.commit(PROJECT, "main", {"index.html": "Hello"})
    connected.connect()
    connected.play()
    assert connected.api("DELETE", "/sites/guestbook/connection").status_code == 204
    assert connected.api("GET", "/sites/guestbook/connection").status_code == 404
    assert Channel.objects.get(name="production").commit == first
    kinds = [one["kind"] for one in connected.api("GET", "/sites/guestbook/events").json()["items"]]
    assert "repository.connected" in kinds
    assert "repository.disconnected" in kinds


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc",
        "ext::sh -c id",
        "-oProxyCommand=id",
        "https://alice:secret@example.org/a/b",
        "https://token@example.org/a/b",
        "https://example.org/../../etc",
        "https://example.org/a/b?x=1",
        "ssh://-oProxyCommand=id/a/b",
        "git@-x:a/b",
        "http://[::1/a",
        "https://example.org:99999/a/b",
        "https:///a/b",
        "https://exa mple.org/a/b",
        "x" * 400,
    ],
)
def test_an_address_that_is_none_is_refused_and_a_password_in_it_is_not_repeated(connected, url):
    answer = connected.api("PUT", "/sites/guestbook/connection", {"url": url})
    assert answer.status_code == 422, answer.content
    assert "secret" not in answer.content.decode()


def test_the_platform_sends_nothing_to_private_addresses(connected, forge, settings):
    settings.PLATFORM = settings.PLATFORM.model_copy(update={"extra_egress": ""})
    forge.commit(PROJECT, "main", {"index.html": "Hello"})
    connected.connect()
    connected.play()
    assert forge.calls == []
    steps = Operation.objects.get(kind="sync").steps.order_by("index")
    assert "private network" in steps[0].detail


def test_whoever_may_not_deploy_to_a_protected_channel_may_not_say_where_its_code_comes_from(connected, forge, api, cast):
    Channel.objects.update(protected=True, deploy_role="owner")
    body = {"url": forge.clone_url(PROJECT)}
    assert api(cast.bob)("PUT", "/sites/guestbook/connection", body).status_code == 403
    assert api(cast.alice)("PUT", "/sites/guestbook/connection", body).status_code == 200
