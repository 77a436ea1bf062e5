"""Channels that are for some roles only, and channels that are frozen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sitewright.manager.audit.models import TimelineEvent
from sitewright.manager.operations.models import Operation
from sitewright.manager.sites.models import Channel
from sitewright.testing.channel_rows import TEMPLATE, done, row


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
