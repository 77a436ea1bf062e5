"""Pull requests from forks: a stranger's code waits, and never gets a secret."""

from __future__ import annotations

import pytest
from django.conf import settings as django

from sitewright.domain.events import EventKind
from sitewright.manager.keys import encrypt
from sitewright.manager.sites.models import Channel, EnvVar
from sitewright.testing.connected import PROJECT, Scene, deploys_of
from sitewright.testing.forge import Forge


@pytest.fixture
def scene(tmp_path, settings, stage, api, cast, guestbook):
    settings.PLATFORM = settings.PLATFORM.model_copy(update={"extra_egress": "127.0.0.0/8"})
    with Forge(tmp_path / "forge") as forge:
        forge.create(PROJECT)
        yield Scene(forge, stage, api(cast.alice))


def test_nothing_of_a_fork_is_fetched_or_built_before_somebody_allows_that_commit(scene, api, cast):
    head = scene.head(13)
    fetches = len(scene.stage.node.repository.fetches)
    delivery = scene.pull(13, "opened", head, head_project="charlie/notes", author="charlie")
    assert delivery.outcome == "acted"
    assert len(scene.stage.node.repository.fetches) == fetches
    assert deploys_of(head) == []
    one = scene.previews()[0]
    assert (one["fork"], one["waits"], one["channel"]) == (True, True, "")
    assert scene.told(EventKind.PREVIEW_WAITING) == [
        f"charlie offers #13 “A new page” from a fork: {head[:10]} is not built before a member allows it."
    ]
    assert scene.statuses(head) == [("sitewright/preview-13", "pending")]
    allow = f"/sites/guestbook/previews/{one['id']}/allow"
    assert api(cast.charlie)("POST", allow).status_code == 404
    assert api(cast.vera)("POST", allow).status_code == 403
    assert api(cast.bob)("POST", allow, {"commit": "9" * 40}).status_code == 409
    assert api(cast.bob)("POST", allow, {"commit": head}).status_code == 202
    scene.play()
    assert Channel.objects.get(name="preview-13").commit == head
    assert scene.previews()[0]["allowed_by"] == "bob@example.org"


def test_a_later_commit_of_a_fork_waits_again_and_the_allowed_one_stays(scene, api, cast):
    head = scene.head(13)
    scene.pull(13, "opened", head, head_project="charlie/notes")
    api(cast.bob)("POST", f"/sites/guestbook/previews/{scene.previews()[0]['id']}/allow")
    scene.play()
    later = scene.head(13)
    scene.pull(13, "synchronized", later, head_project="charlie/notes")
    assert deploys_of(later) == []
    assert Channel.objects.get(name="preview-13").commit == head
    assert scene.previews()[0]["waits"]
    assert len(scene.told(EventKind.PREVIEW_WAITING)) == 2


def test_a_commit_that_comes_between_the_look_and_the_fetch_is_not_built(scene, api, cast):
    head = scene.head(13)
    scene.pull(13, "opened", head, head_project="charlie/notes")
    assert api(cast.bob)("POST", f"/sites/guestbook/previews/{scene.previews()[0]['id']}/allow", {"commit": head}).status_code == 202
    sneaked = scene.head(13)
    scene.play()
    assert deploys_of(head) == deploys_of(sneaked) == []
    one = scene.previews()[0]
    assert (one["commit"], one["waits"], one["channel"]) == (sneaked, True, "")


def test_a_fork_stays_one_whatever_a_later_event_says(scene):
    scene.pull(13, "opened", scene.head(13), head_project="charlie/notes")
    later = scene.head(13)
    scene.pull(13, "synchronized", later, head_project=PROJECT)
    assert deploys_of(later) == []


def _variables(site):
    channel = Channel.objects.get(site=site, name="production")
    for name, secret in (("GREETING", False), ("PASSWORD", True)):
        EnvVar.objects.create(channel=channel, name=name, sealed=encrypt(django.ENCRYPTION_KEYS, name.lower()), secret=secret)


def test_a_preview_gets_variables_that_are_no_secrets_and_data_of_its_own(scene, guestbook):
    _variables(guestbook)
    scene.pull(12, "opened", scene.head(12))
    channel = Channel.objects.get(name="preview-12")
    assert [one.name for one in channel.variables.all()] == ["GREETING"]
    assert channel.data_of is None
    put = next(one for one in reversed(scene.stage.node.puts) if one.channel == "preview-12")
    assert dict(put.env) == {"GREETING": "greeting"}


def test_a_secret_that_somebody_sets_on_a_forks_preview_reaches_neither_build_nor_site(scene, api, cast, guestbook):
    _variables(guestbook)
    head = scene.head(13)
    scene.pull(13, "opened", head, head_project="charlie/notes")
    one = scene.previews()[0]
    api(cast.bob)("POST", f"/sites/guestbook/previews/{one['id']}/allow")
    scene.play()
    body = {"set": {"TOKEN": {"value": "very secret", "secret": True}}}
    assert api(cast.bob)("PATCH", "/sites/guestbook/env?channel=preview-13", body).status_code == 202
    scene.play()
    second = scene.head(13)
    scene.pull(13, "synchronized", second, head_project="charlie/notes")
    api(cast.bob)("POST", f"/sites/guestbook/previews/{one['id']}/allow")
    scene.play()
    assert Channel.objects.get(name="preview-13").commit == second
    told = [put.env for put in scene.stage.node.puts if put.channel == "preview-13"]
    built = [build for build in scene.stage.node.builds.values() if build.channel == "preview-13"]
    assert len(built) == 2
    assert all(build.foreign for build in built)
    assert "very secret" not in str(told) + str([build.env for build in built])
    shared = api(cast.alice)("PATCH", "/sites/guestbook/channels/preview-13", {"share_data": "production"})
    assert shared.status_code in {404, 409}
