"""Edits of a live channel: published, thrown away or kept on a branch."""

from __future__ import annotations

import pytest

from sitewright.manager.audit.models import TimelineEvent
from sitewright.manager.operations.models import Operation
from sitewright.manager.sites.models import Channel
from sitewright.testing.channel_rows import done, row


@pytest.fixture
def edited(stage, guestbook):
    repository = stage.node.repository
    published = repository.commit("As it was published")
    repository.refs["refs/heads/main"] = published
    Channel.objects.update(mode="live", commit=published)
    repository.edits = (("M", "app.py"),)
    return published


def test_edits_are_published_to_the_channels_branch(stage, edited, bob):
    assert bob("GET", "/sites/guestbook/edits").json()["items"] == [{"kind": "M", "path": "app.py"}]
    operation = done(stage, bob("POST", "/sites/guestbook/publish", {"message": "Correct the hours"}))
    assert operation.state == "succeeded"
    repository = stage.node.repository
    assert repository.commits[repository.head("main")] == (edited, "Correct the hours")
    assert row("production").commit == repository.head("main")
    event = TimelineEvent.objects.get(kind="git.published")
    assert (event.who, "Correct the hours" in event.text) == ("bob@example.org", True)


def test_edits_are_not_published_over_a_branch_that_moved_on(stage, edited, bob):
    repository = stage.node.repository
    moved = repository.refs["refs/heads/main"] = repository.commit("Somebody else", edited)
    operation = done(stage, bob("POST", "/sites/guestbook/publish", {"message": "Mine"}))
    assert operation.state == "failed"
    assert "moved on" in operation.error_message
    assert repository.head("main") == moved
    assert repository.edits
    assert done(stage, bob("POST", "/sites/guestbook/publish", {"message": "Mine", "branch": "mine"})).state == "succeeded"
    assert repository.commits[repository.head("mine")] == (edited, "Mine")


@pytest.mark.parametrize("write", range(1, 6))
def test_killed_at_any_write_edits_are_published_once(stage, edited, bob, monkeypatch, write):
    operation = bob("POST", "/sites/guestbook/publish", {"message": "Mine"}).json()["operation"]["id"]
    stage.play_killed(monkeypatch, write)
    assert Operation.objects.get(id=operation).state == "succeeded"
    repository = stage.node.repository
    assert repository.commits[repository.head("main")] == (edited, "Mine")
    assert row("production").commit == repository.head("main")


def test_edits_are_thrown_away_or_kept_on_a_branch(stage, edited, bob):
    builds = len(stage.node.builds)
    assert done(stage, bob("POST", "/sites/guestbook/edits/discard")).state == "succeeded"
    assert [one.source.commit for one in list(stage.node.builds.values())[builds:]] == [edited]
    assert done(stage, bob("POST", "/sites/guestbook/edits/stash", {"branch": "later"})).state == "succeeded"
    repository = stage.node.repository
    assert repository.commits[repository.head("later")][0] == edited
    assert repository.head("main") == edited


def test_a_channel_of_releases_has_no_edits(stage, guestbook, bob):
    for method, path in (("GET", "/edits"), ("POST", "/publish"), ("POST", "/edits/discard")):
        assert bob(method, f"/sites/guestbook{path}").status_code == 409


def test_branches_and_commits_are_listed(stage, edited, bob):
    shown = bob("GET", "/sites/guestbook/branches").json()
    assert [(one["name"], one["channel"], one["commit"]["id"]) for one in shown["items"]] == [("main", "production", edited)]
    assert [one["subject"] for one in bob("GET", "/sites/guestbook/commits").json()["items"]] == ["As it was published"]
    assert bob("GET", "/sites/guestbook/commits?branch=none").status_code == 404
