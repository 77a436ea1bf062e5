"""Channels: made, changed, frozen and removed; promoted between; each with its own lane, releases, variables and data."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from sitewright.manager.audit.models import TimelineEvent
from sitewright.manager.operations.models import Operation
from sitewright.manager.releases.models import Release
from sitewright.manager.sites.models import Channel, RemovedChannel

TEMPLATE = {"source": {"kind": "template", "name": "flask"}}


@pytest.fixture
def alice(cast, api):
    return api(cast.alice)


@pytest.fixture
def bob(cast, api):
    return api(cast.bob)


def row(name, site="guestbook"):
    return Channel.objects.select_related("release").get(site__name=site, name=name)


def done(stage, response):
    """The operation of a 202 answer, once it is over."""
    assert response.status_code == 202, response.content
    stage.play()
    return Operation.objects.get(id=response.json()["operation"]["id"])


@pytest.fixture
def staging(stage, guestbook, bob):
    """A second channel with a release of its own."""
    answer = bob("POST", "/sites/guestbook/channels", {"name": "staging", "branch": "staging"})
    assert answer.status_code == 202, answer.content
    assert done(stage, bob("POST", "/sites/guestbook/deploys?channel=staging", TEMPLATE)).state == "succeeded"
    return row("staging")


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


# --- promotion ---


def adopt(api, **more):
    return api("POST", "/sites/guestbook/channels/production/adopt", {"from": "staging", **more})


def test_a_release_is_promoted_without_a_build_under_the_others_variables(stage, staging, bob):
    Release.objects.filter(id=staging.release_id).update(commit="c" * 40, subject="A page", author="Bob <bob@example.org>")
    done(stage, bob("PATCH", "/sites/guestbook/env", {"set": {"COLOUR": {"value": "blue"}}}))
    builds, began = len(stage.node.builds), stage.clock.now()
    assert done(stage, adopt(bob)).state == "succeeded"
    assert stage.clock.now() - began <= 2
    assert len(stage.node.builds) == builds
    live = row("production").release
    assert (live.number, live.adopted_from_id, live.droplet) == (2, staging.release_id, staging.release.droplet)
    assert (live.commit, live.subject, row("production").commit) == ("c" * 40, "A page", "c" * 40)
    assert dict(stage.node.desired[row("production").id].env) == {"COLOUR": "blue"}
    shown = bob("GET", "/sites/guestbook/releases").json()["items"][0]
    assert shown["adopted_from"] == {"channel": "staging", "number": 1}
    event = TimelineEvent.objects.get(kind="release.adopted")
    assert (event.text, event.who) == ("Release 1 of “staging” is live here as release 2: ccccccc A page.", "bob@example.org")


def test_an_older_release_can_be_promoted_one_that_is_gone_cannot(stage, staging, bob):
    for _ in range(2):
        done(stage, bob("POST", "/sites/guestbook/deploys?channel=staging", TEMPLATE))
    assert done(stage, adopt(bob, release=1)).state == "succeeded"
    Release.objects.filter(channel=staging, number=2).update(gone_at=datetime.now(UTC))
    answer = adopt(bob, release=2)
    assert answer.status_code == 409
    assert "not kept any more" in answer.json()["title"]


@pytest.mark.parametrize(
    ("body", "status"), [({"from": "production"}, 409), ({"from": "nowhere"}, 404), ({"from": "staging", "release": 9}, 404)]
)
def test_what_is_not_promoted(stage, staging, bob, body, status):
    assert bob("POST", "/sites/guestbook/channels/production/adopt", body).status_code == status


def test_what_runs_already_is_not_promoted_again(stage, staging, bob):
    done(stage, adopt(bob))
    assert adopt(bob).status_code == 409


def test_a_promoted_release_that_does_not_start_is_put_back(stage, staging, bob):
    before = row("production")
    stage.node.behaviour.problem = "It ended at once."
    assert done(stage, adopt(bob)).state == "failed"
    assert (row("production").release_id, row("production").commit) == (before.release_id, before.commit)


def test_a_release_can_be_promoted_on_trial(stage, staging, bob):
    assert done(stage, adopt(bob, canary_percent=25)).state == "succeeded"
    assert row("production").canary_slots == 4


@pytest.mark.parametrize("write", range(1, 9))
def test_killed_at_any_write_a_release_is_promoted_once(stage, staging, bob, monkeypatch, write):
    operation = adopt(bob).json()["operation"]["id"]
    stage.play_killed(monkeypatch, write)
    assert Operation.objects.get(id=operation).state == "succeeded"
    assert row("production").release.number == 2
    assert Release.objects.filter(channel=row("production")).count() == 2


# --- rollback, keeping ---


def test_any_channel_rolls_back_without_a_build(stage, staging, bob):
    done(stage, bob("POST", "/sites/guestbook/deploys?channel=staging", TEMPLATE))
    Release.objects.filter(channel=staging, number=1).update(commit="d" * 40)
    began = stage.clock.now()
    assert done(stage, bob("POST", "/sites/guestbook/rollback?channel=staging")).state == "succeeded"
    assert stage.clock.now() - began <= 2
    assert (row("staging").release.number, row("staging").commit) == (1, "d" * 40)
    assert row("production").release.number == 1


def test_only_so_many_releases_are_kept_and_the_node_is_told_which(stage, staging, bob):
    assert bob("PATCH", "/sites/guestbook/releases", {"keep": 0}).status_code == 422
    assert bob("PATCH", "/sites/guestbook/releases", {"keep": 2}).json() == {"keep": 2}
    for number in itertools.count(2):
        # Each build of the fake node makes the same droplet.
        Release.objects.filter(channel=staging, number=number - 1).update(droplet=f"{number - 1:064d}")
        done(stage, bob("POST", "/sites/guestbook/deploys?channel=staging", TEMPLATE))
        if number == 4:
            break
    shown = bob("GET", "/sites/guestbook/releases?channel=staging").json()["items"]
    assert [(one["number"], one["kept"], bool(one["gone_at"])) for one in shown] == [
        (4, True, False),
        (3, True, False),
        (2, False, True),
        (1, False, True),
    ]
    assert f"{2:064d}" not in stage.node.desired[staging.id].kept
    assert f"{3:064d}" in stage.node.desired[staging.id].kept
    answer = bob("POST", "/sites/guestbook/rollback?channel=staging", {"release": 2})
    assert answer.status_code == 409
    assert "not kept any more since" in answer.json()["title"]


def test_variables_of_two_releases_are_compared_without_their_values(stage, staging, bob):
    done(stage, bob("PATCH", "/sites/guestbook/env?channel=staging", {"set": {"A": {"value": "1"}, "B": {"value": "1"}}}))
    done(stage, bob("POST", "/sites/guestbook/deploys?channel=staging", TEMPLATE))
    done(stage, bob("PATCH", "/sites/guestbook/env?channel=staging", {"set": {"A": {"value": "2"}, "C": {"value": "1"}}, "unset": ["B"]}))
    done(stage, bob("POST", "/sites/guestbook/deploys?channel=staging", TEMPLATE))
    shown = bob("GET", "/sites/guestbook/releases/2/env-diff?to=3&channel=staging").json()
    assert shown == {"added": ["C"], "removed": ["B"], "changed": ["A"]}
    assert "1" not in Release.objects.get(channel=staging, number=3).variables.values()


# --- protection and freezes ---


@pytest.fixture
def protected(stage, staging, alice):
    answer = alice("PATCH", "/sites/guestbook/channels/production", {"protected": True, "deploy_role": "owner"})
    assert answer.status_code == 202, answer.content
    return row("production")


def test_only_owners_say_who_may_deploy(stage, staging, bob):
    for body in ({"protected": True}, {"deploy_role": "owner"}):
        assert bob("PATCH", "/sites/guestbook/channels/staging", body).status_code == 403
    assert bob("PATCH", "/sites/guestbook/channels/staging", {"branch": "stage"}).status_code == 202


GUARDED = [
    ("POST", "/sites/guestbook/deploys", TEMPLATE),
    ("POST", "/sites/guestbook/rollback", {}),
    ("POST", "/sites/guestbook/canary/promote", None),
    ("POST", "/sites/guestbook/canary/abort", None),
    ("PATCH", "/sites/guestbook/env", {"set": {"A": {"value": "1"}}}),
    ("POST", "/sites/guestbook/channels/production/adopt", {"from": "staging"}),
    ("PATCH", "/sites/guestbook/channels/production", {"branch": "other"}),
    ("POST", "/sites/guestbook/channels/production/freeze", {"until": "2031-01-01T00:00:00Z"}),
    ("DELETE", "/sites/guestbook/channels/production/freeze", None),
]


@pytest.mark.parametrize(("method", "path", "body"), GUARDED)
def test_a_protected_channel_is_for_its_roles_only(stage, protected, bob, method, path, body):
    before = Operation.objects.count()
    answer = bob(method, path, body)
    assert answer.status_code == 403
    assert "protected" in answer.json()["title"]
    assert Operation.objects.count() == before


def test_publishing_to_a_protected_channel_is_for_its_roles_only(stage, protected, bob):
    Channel.objects.update(mode="live")
    for path in ("/publish", "/edits/discard", "/edits/stash"):
        assert bob("POST", f"/sites/guestbook{path}").status_code == 403


def test_nobody_else_sets_going_again_or_calls_off_what_was_begun_for_a_protected_channel(stage, protected, alice, bob):
    operation = alice("POST", "/sites/guestbook/deploys", TEMPLATE).json()["operation"]["id"]
    assert bob("POST", f"/operations/{operation}/cancel").status_code == 403
    assert alice("POST", f"/operations/{operation}/cancel").status_code == 202
    assert bob("POST", f"/operations/{operation}/retry").status_code == 403


def test_a_frozen_channel_is_not_deployed_to_but_rolled_back(stage, staging, bob):
    done(stage, bob("POST", "/sites/guestbook/deploys", TEMPLATE))
    until = datetime.fromtimestamp(stage.clock.now(), tz=UTC) + timedelta(hours=1)
    frozen = bob("POST", "/sites/guestbook/channels/production/freeze", {"until": until.isoformat(), "reason": "Exams"}).json()
    assert frozen["freeze"]["by"] == "bob@example.org"
    for path, body in (("/deploys", TEMPLATE), ("/channels/production/adopt", {"from": "staging"})):
        answer = bob("POST", f"/sites/guestbook{path}", body)
        assert answer.status_code == 409
        assert "bob@example.org: Exams" in answer.json()["title"]
    assert done(stage, bob("POST", "/sites/guestbook/rollback")).state == "succeeded"
    assert bob("POST", "/sites/guestbook/deploys?channel=staging", TEMPLATE).status_code == 202
    assert bob("DELETE", "/sites/guestbook/channels/production/freeze").json()["freeze"] is None
    assert bob("DELETE", "/sites/guestbook/channels/production/freeze").status_code == 409
    assert bob("POST", "/sites/guestbook/deploys", TEMPLATE).status_code == 202
    kinds = set(TimelineEvent.objects.filter(who="bob@example.org").values_list("kind", flat=True))
    assert {"deploys.frozen", "deploys.unfrozen"} <= kinds


@pytest.mark.parametrize("until", ["2001-01-01T00:00:00Z", "2131-01-01T00:00:00Z"])
def test_a_freeze_ends_some_day(stage, guestbook, bob, until):
    assert bob("POST", "/sites/guestbook/channels/production/freeze", {"until": until}).status_code == 422


# --- edits ---


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


def test_builds_and_what_they_installed_are_shown(stage, guestbook, bob):
    (build,) = bob("GET", "/sites/guestbook/builds").json()["items"]
    assert (build["state"], build["release"], build["channel"]) == ("succeeded", 1, "production")
    assert bob("GET", f"/builds/{build['id']}/artefacts").json()["items"][0]["name"] == "flask"
    assert bob("GET", f"/builds/{build['id']}/artefacts?format=cyclonedx").json()["bomFormat"] == "CycloneDX"
    assert len(bob("GET", f"/builds/{build['id']}/search?text=HELLO").json()["lines"]) == 1
    assert bob("GET", "/queue").json() == {"items": [], "next": None, "others": 0}
