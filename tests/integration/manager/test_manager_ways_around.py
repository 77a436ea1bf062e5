"""Ways around a protected channel, around being asked, and around one's own earlier words: none of them leads anywhere."""

from __future__ import annotations

import base64

import pytest

from sitewright.bus.messages import DoorOpen, DoorService
from sitewright.domain.identity import new_id
from sitewright.errors import ForbiddenError
from sitewright.manager.doors.opening import prepare
from sitewright.manager.operations.models import Operation
from sitewright.manager.sites.models import Channel

TEMPLATE = {"source": {"kind": "template", "name": "flask"}}
HELLO = {"data": base64.b64encode(b"Hello").decode(), "version": ""}


@pytest.fixture
def bob(cast, api):
    return api(cast.bob)


@pytest.fixture
def protected(guestbook):
    """Production is for owners only. Bob is none."""
    Channel.objects.update(protected=True, deploy_role="owner")
    return Channel.objects.get(site=guestbook)


@pytest.fixture
def draft(stage, protected, bob):
    """A live channel beside it that anybody in the team may deploy to, with edits; it follows no branch."""
    assert bob("POST", "/sites/guestbook/channels", {"name": "draft", "mode": "live"}).status_code in {201, 202}
    assert bob("POST", "/sites/guestbook/deploys?channel=draft", TEMPLATE).status_code == 202
    stage.play()
    Channel.objects.filter(name="draft").update(commit="")
    stage.node.repository.edits = (("M", "app.py"),)
    return Channel.objects.get(name="draft")


@pytest.mark.parametrize("there", [True, False])
def test_nobody_publishes_to_the_branch_that_another_channel_follows(stage, draft, bob, there):
    repository = stage.node.repository
    repository.refs.pop("refs/heads/main", None)
    if there:
        repository.refs["refs/heads/main"] = repository.commit("What visitors get")
    before = repository.head("main")
    answer = bob("POST", "/sites/guestbook/publish?channel=draft", {"message": "Mine", "branch": "main"})
    assert answer.status_code == 409
    assert "production" in answer.json()["title"]
    stage.play()
    assert repository.head("main") == before


def test_a_channel_that_begins_to_follow_the_branch_meanwhile_keeps_it(stage, draft, bob):
    answer = bob("POST", "/sites/guestbook/publish?channel=draft", {"message": "Mine", "branch": "later"})
    Channel.objects.filter(name="production").update(branch="later")
    stage.play()
    assert Operation.objects.get(id=answer.json()["operation"]["id"]).state == "failed"
    assert not stage.node.repository.head("later")


def test_edits_are_stashed_on_no_branch_that_somebody_needs(stage, draft, bob):
    repository = stage.node.repository
    Channel.objects.filter(name="draft").update(commit=repository.commit("As it was published"))
    taken = repository.refs["refs/heads/taken"] = repository.commit("Somebody else's")
    repository.refs.pop("refs/heads/main", None)
    assert bob("POST", "/sites/guestbook/edits/stash?channel=draft", {"branch": "main"}).status_code == 409
    answer = bob("POST", "/sites/guestbook/edits/stash?channel=draft", {"branch": "taken"})
    stage.play()
    # Whoever finds it out: the edits are not laid over without having been kept.
    assert answer.status_code == 409 or Operation.objects.get(id=answer.json()["operation"]["id"]).state == "failed"
    assert repository.head("taken") == taken
    assert not repository.head("main")


def test_files_of_a_protected_live_channel_are_for_its_roles(stage, protected, cast, api, bob):
    Channel.objects.update(mode="live")
    alice = api(cast.alice)
    for method, body in (("PUT", HELLO), ("DELETE", None)):
        answer = bob(method, "/sites/guestbook/files/content?path=app.py", body)
        assert answer.status_code == 403
        assert "protected" in answer.json()["title"]
    assert bob("GET", "/sites/guestbook/files").status_code == 200
    assert alice("PUT", "/sites/guestbook/files/content?path=app.py", HELLO).status_code == 200


@pytest.mark.parametrize("service", [DoorService.FILES, DoorService.SHELL])
def test_the_door_to_a_protected_live_channel_is_for_its_roles(protected, cast, service):
    Channel.objects.update(mode="live")

    def asked(user):
        return DoorOpen(session=new_id(), user_id=str(user.pk), site="guestbook", service=service, argv=("/bin/true",))

    with pytest.raises(ForbiddenError, match="protected"):
        prepare(asked(cast.bob), f"door.{new_id()}")
    assert prepare(asked(cast.alice), f"door.{new_id()}").method == "exec.open"


def test_a_protected_channel_that_follows_nothing_is_not_made_to_follow_somebody_elses_code(stage, protected, bob):
    Channel.objects.update(branch="")
    body = {"url": "https://example.org/bob/notes.git", "branch": "main"}
    assert bob("PUT", "/sites/guestbook/connection", body).status_code == 403


def test_a_key_that_was_used_for_another_site_begins_nothing_and_says_so(stage, guestbook, bob):
    assert bob("POST", "/sites", {"name": "other", "team": "choir", **TEMPLATE}).status_code == 202
    stage.play()
    first = bob("POST", "/sites/guestbook/deploys", TEMPLATE, Idempotency_Key="one")
    again = bob("POST", "/sites/guestbook/deploys", TEMPLATE, Idempotency_Key="one")
    assert first.status_code == 202
    assert again.json()["operation"]["id"] == first.json()["operation"]["id"]
    assert bob("POST", "/sites/other/deploys", TEMPLATE, Idempotency_Key="one").status_code == 409
