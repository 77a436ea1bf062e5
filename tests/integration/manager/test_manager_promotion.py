"""Releases promoted between channels, returned to, kept and compared."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest

from sitewright.manager.audit.models import TimelineEvent
from sitewright.manager.operations.models import Operation
from sitewright.manager.releases.models import Release
from sitewright.testing.channel_rows import TEMPLATE, done, row


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


def test_builds_and_what_they_installed_are_shown(stage, guestbook, bob):
    (build,) = bob("GET", "/sites/guestbook/builds").json()["items"]
    assert (build["state"], build["release"], build["channel"]) == ("succeeded", 1, "production")
    assert bob("GET", f"/builds/{build['id']}/artefacts").json()["items"][0]["name"] == "flask"
    assert bob("GET", f"/builds/{build['id']}/artefacts?format=cyclonedx").json()["bomFormat"] == "CycloneDX"
    assert len(bob("GET", f"/builds/{build['id']}/search?text=HELLO").json()["lines"]) == 1
    assert bob("GET", "/queue").json() == {"items": [], "next": None, "others": 0}
