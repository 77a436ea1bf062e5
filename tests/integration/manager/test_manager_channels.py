"""Channels: made, changed and removed; each with its own lane, releases, variables and data."""

from __future__ import annotations

import pytest

from sitewright.manager.audit.models import TimelineEvent
from sitewright.manager.operations.models import Operation
from sitewright.manager.sites.models import Channel, RemovedChannel
from sitewright.testing.channel_rows import done, row


def test_a_channel_has_its_address_and_follows_its_branch(stage, guestbook, bob):
    made = bob("POST", "/sites/guestbook/channels", {"name": "staging", "branch": "staging"}).json()
    assert made["operation"] is None
    assert made["channel"]["urls"] == ["http://staging--guestbook.localhost:8000"]
    assert (made["channel"]["branch"], made["channel"]["state"], made["channel"]["kind"]) == ("staging", "new", "named")
    assert [one["name"] for one in bob("GET", "/sites/guestbook/channels").json()["items"]] == ["production", "staging"]


def test_a_branch_that_is_there_already_is_deployed_at_once(stage, guestbook, bob):
    repository = stage.node.repository
    repository.refs["refs/heads/staging"] = commit = repository.commit("A page")
    operation = done(stage, bob("POST", "/sites/guestbook/channels", {"name": "staging", "branch": "staging"}))
    assert operation.state == "succeeded"
    assert row("staging").commit == commit


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "production"}, 409),
        ({"name": "Staging"}, 422),
        ({"name": "a--b"}, 422),
        ({"name": "x" * 21}, 422),
        ({"name": "other", "branch": "main"}, 409),
        ({"name": "other", "branch": "-x"}, 422),
        ({"name": "other", "branch": "a..b"}, 422),
        ({"name": "other", "copy_env": "nowhere"}, 404),
        ({"name": "other", "share_data": "nowhere"}, 404),
    ],
)
def test_what_cannot_be_a_channel_is_refused_in_words(stage, guestbook, bob, body, status):
    answer = bob("POST", "/sites/guestbook/channels", body)
    assert answer.status_code == status
    assert answer.json()["title"]
    assert Channel.objects.count() == 1


def test_a_site_has_only_so_many_channels(stage, guestbook, bob, monkeypatch):
    monkeypatch.setattr("sitewright.manager.sites.channels.MOST_CHANNELS", 2)
    assert bob("POST", "/sites/guestbook/channels", {"name": "one"}).status_code == 202
    assert bob("POST", "/sites/guestbook/channels", {"name": "two"}).status_code == 403


def test_channels_have_variables_and_releases_of_their_own(stage, staging, bob):
    done(stage, bob("PATCH", "/sites/guestbook/env?channel=staging", {"set": {"COLOUR": {"value": "red"}}}))
    assert [one["name"] for one in bob("GET", "/sites/guestbook/env?channel=staging").json()["items"]] == ["COLOUR"]
    assert bob("GET", "/sites/guestbook/env").json()["items"] == []
    assert dict(stage.node.desired[staging.id].env) == {"COLOUR": "red"}
    assert stage.node.desired[row("production").id].env == ()
    assert [one["channel"] for one in bob("GET", "/sites/guestbook/releases?channel=staging").json()["items"]] == ["staging"]


def test_variables_are_copied_when_asked_for(stage, guestbook, bob):
    done(stage, bob("PATCH", "/sites/guestbook/env", {"set": {"A": {"value": "1"}, "B": {"value": "2", "secret": True}}}))
    bob("POST", "/sites/guestbook/channels", {"name": "staging", "copy_env": True})
    shown = {one["name"]: one["value"] for one in bob("GET", "/sites/guestbook/env?channel=staging").json()["items"]}
    assert shown == {"A": "1", "B": None}


def test_data_is_shared_when_asked_for_and_its_owner_stays(stage, staging, bob):
    answer = bob("PATCH", "/sites/guestbook/channels/staging", {"share_data": "production"})
    assert done(stage, answer).state == "succeeded"
    assert stage.node.desired[staging.id].data_channel == "production"
    assert bob("GET", "/sites/guestbook/channels/staging").json()["data_of"] == "production"
    third = bob("POST", "/sites/guestbook/channels", {"name": "third", "share_data": "staging"}).json()
    assert third["channel"]["data_of"] == "production"
    assert done(stage, bob("PATCH", "/sites/guestbook/channels/staging", {"share_data": ""})).state == "succeeded"
    assert stage.node.desired[staging.id].data_channel == ""


def test_a_channel_whose_data_others_use_is_not_removed(stage, staging, bob):
    bob("POST", "/sites/guestbook/channels", {"name": "third", "share_data": "staging"})
    answer = bob("DELETE", "/sites/guestbook/channels/staging?confirm=staging")
    assert answer.status_code == 409
    assert "third" in answer.json()["title"]


# --- lanes ---


def test_channels_do_not_wait_for_each_other_and_a_whole_sites_operation_waits_for_all(stage, staging, bob, alice):
    stage.node.behaviour.slow = True
    one = bob("POST", "/sites/guestbook/restart").json()["operation"]["id"]
    two = bob("POST", "/sites/guestbook/restart?channel=staging").json()["operation"]["id"]
    stage.turn()
    assert {Operation.objects.get(id=each).state for each in (one, two)} == {"waiting"}
    stage.clock.advance(1)
    rename = alice("PATCH", "/sites/guestbook", {"name": "visitors"}).json()["operation"]["id"]
    stage.clock.advance(1)
    late = bob("POST", "/sites/guestbook/restart?channel=staging").json()["operation"]["id"]
    stage.turn()
    assert [Operation.objects.get(id=each).state for each in (rename, late)] == ["queued", "queued"]
    stage.node.behaviour.slow = False
    for channel in list(stage.node.desired):
        stage.bus.run(stage.node.catch_up(channel), 5)
    stage.play()
    ends = [Operation.objects.get(id=each).finished_at for each in (one, two, rename, late)]
    assert max(ends[:2]) <= ends[2] <= ends[3]
    assert {Operation.objects.get(id=each).state for each in (one, two, rename, late)} == {"succeeded"}


def test_a_renamed_site_takes_all_its_channels_along(stage, staging, alice):
    assert done(stage, alice("PATCH", "/sites/guestbook", {"name": "visitors"})).state == "succeeded"
    assert stage.node.desired[staging.id].hosts == ("staging--visitors.localhost",)
    assert stage.node.desired[staging.id].site_name == "visitors"


def test_a_site_is_deleted_with_all_its_channels(stage, staging, alice):
    assert done(stage, alice("DELETE", "/sites/guestbook?confirm=guestbook")).state == "succeeded"
    assert stage.node.desired == {}
    assert Channel.objects.count() == 0


# --- removal ---


def test_a_removed_channel_leaves_nothing_but_its_history(stage, staging, bob):
    operation = done(stage, bob("DELETE", "/sites/guestbook/channels/staging?confirm=staging"))
    assert operation.state == "succeeded"
    assert staging.id not in stage.node.desired
    assert not Channel.objects.filter(id=staging.id).exists()
    assert RemovedChannel.objects.filter(id=staging.id).exists()
    texts = list(TimelineEvent.objects.values_list("kind", "text", "who"))
    assert ("channel.removed", "The channel “staging” was removed.", "bob@example.org") in texts
    assert bob("GET", f"/operations/{operation.id}").json()["state"] == "succeeded"
    assert bob("POST", "/sites/guestbook/channels", {"name": "staging", "branch": "staging"}).status_code == 202


@pytest.mark.parametrize(
    ("path", "status"), [("production?confirm=production", 409), ("staging?confirm=stage", 422), ("none?confirm=none", 404)]
)
def test_what_is_not_removed(stage, staging, bob, path, status):
    assert bob("DELETE", f"/sites/guestbook/channels/{path}").status_code == status
    assert Channel.objects.count() == 2


@pytest.mark.parametrize("write", range(1, 8))
def test_killed_at_any_write_a_channel_is_removed_all_the_same(stage, staging, bob, monkeypatch, write):
    operation = bob("DELETE", "/sites/guestbook/channels/staging?confirm=staging").json()["operation"]["id"]
    stage.play_killed(monkeypatch, write)
    assert Operation.objects.get(id=operation).state == "succeeded"
    assert not Channel.objects.filter(id=staging.id).exists()
    assert staging.id not in stage.node.desired
