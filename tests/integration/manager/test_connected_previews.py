"""Previews of pull requests and branches: made, told, allowed, removed; and what a stranger's code never gets."""

from __future__ import annotations

import pytest

from sitewright.domain.channel import ChannelKind
from sitewright.domain.events import EventKind
from sitewright.domain.states import BuildState
from sitewright.manager.operations.models import Operation
from sitewright.manager.repositories import deliveries, preview_channels, previews
from sitewright.manager.repositories.models import PullRequest
from sitewright.manager.repositories.preview_channels import name_for
from sitewright.manager.sites import previewing
from sitewright.manager.sites.models import Channel, Site
from sitewright.testing.connected import PROJECT, Scene, deploys_of
from sitewright.testing.forge import TOKEN, Forge


@pytest.fixture
def scene(tmp_path, settings, stage, api, cast, guestbook):
    settings.PLATFORM = settings.PLATFORM.model_copy(update={"extra_egress": "127.0.0.0/8"})
    with Forge(tmp_path / "forge") as forge:
        forge.create(PROJECT)
        yield Scene(forge, stage, api(cast.alice))


def test_a_pull_request_gets_a_channel_an_address_a_status_and_one_comment(scene):
    head = scene.head(12)
    assert scene.pull(12, "opened", head).outcome == "acted"
    channel = Channel.objects.get(name="preview-12")
    assert (channel.kind, channel.commit, channel.branch) == (ChannelKind.PREVIEW, head, "")
    one = scene.previews()[0]
    assert (one["number"], one["channel"], one["url"]) == (12, "preview-12", "http://preview-12--guestbook.localhost:8000")
    assert one["expires_at"]
    assert scene.statuses(head)[-1] == ("sitewright/preview-12", "success")
    assert len(scene.comments()) == 1
    assert f"The preview of {head[:10]} is at http://preview-12--guestbook.localhost:8000" in scene.comments()[0]
    assert scene.told(EventKind.PREVIEW_OPENED)
    assert Channel.objects.get(name="production").commit == scene.first


def test_a_new_commit_shows_in_the_same_channel_and_comment(scene):
    scene.pull(12, "opened", scene.head(12))
    second = scene.head(12)
    scene.pull(12, "synchronized", second)
    assert Channel.objects.get(name="preview-12").commit == second
    assert len(scene.comments()) == 1
    assert second[:10] in scene.comments()[0]
    before = Operation.objects.filter(kind="deploy").count()
    scene.pull(12, "edited", second, title="Another title")
    assert Operation.objects.filter(kind="deploy").count() == before
    assert scene.previews()[0]["title"] == "Another title"


def test_a_comment_whose_id_was_lost_is_found_again(scene):
    scene.pull(12, "opened", scene.head(12))
    PullRequest.objects.update(comment="")
    scene.pull(12, "synchronized", scene.head(12))
    assert len(scene.comments()) == 1
    scene.forge.said[PROJECT].comments.clear()
    scene.pull(12, "synchronized", scene.head(12))
    assert len(scene.comments()) == 1


@pytest.mark.parametrize("merged", [True, False])
def test_it_is_removed_when_the_pull_request_is_over(scene, merged):
    head = scene.head(12)
    scene.pull(12, "opened", head)
    scene.pull(12, "closed", head, merged=merged)
    assert not Channel.objects.filter(name="preview-12").exists()
    assert scene.previews() == []
    assert scene.previews("")[0]["state"] == ("merged" if merged else "closed")
    assert "The preview was removed." in scene.comments()[0]
    assert scene.told(EventKind.PREVIEW_CLOSED)
    again = scene.head(12)
    scene.pull(12, "reopened", again)
    assert Channel.objects.get(name="preview-12").commit == again


def test_an_older_event_that_comes_late_changes_nothing(scene):
    head = scene.head(12)
    scene.pull(12, "opened", head, at="2027-01-15T08:00:00Z")
    scene.pull(12, "closed", head, merged=True, at="2027-01-15T08:10:00Z")
    late = scene.pull(12, "synchronized", head, at="2027-01-15T08:05:00Z")
    assert (late.outcome, late.detail) == ("ignored", "Something newer is known of this pull request.")
    assert not Channel.objects.filter(name="preview-12").exists()
    old = scene.pull(13, "opened", scene.head(13), at="2026-01-01T00:00:00Z")
    assert (old.outcome, old.detail) == ("ignored", "It is older than 30 days.")


def test_of_many_commits_only_those_are_built_that_had_begun_and_the_newest(scene):
    scene.stage.node.behaviour.build = BuildState.RUNNING
    heads = []
    for _number in range(4):
        heads.append(scene.head(12))
        scene.stage.node.repository.remote = scene.forge.refs(PROJECT)
        scene.send(scene.forge.pull(PROJECT, scene.secret, 12, "synchronized", head=heads[-1]))
        deliveries.act_due()
        for _round in range(4):
            scene.stage.turn()
            scene.stage.clock.advance(1)
    states = [[one.state for one in deploys_of(head)] for head in heads]
    assert states == [["waiting"], ["cancelled"], ["cancelled"], ["queued"]]
    scene.stage.bus.run(scene.stage.node.finish_builds(BuildState.SUCCEEDED), 5)
    scene.play()
    assert Channel.objects.get(name="preview-12").commit == heads[-1]


def test_a_build_that_goes_on_does_not_keep_a_closed_preview(scene):
    scene.stage.node.behaviour.build = BuildState.RUNNING
    head = scene.head(12)
    scene.stage.node.repository.remote = scene.forge.refs(PROJECT)
    scene.send(scene.forge.pull(PROJECT, scene.secret, 12, "opened", head=head))
    deliveries.act_due()
    for _round in range(4):
        scene.stage.turn()
        scene.stage.clock.advance(1)
    assert [one.state for one in deploys_of(head)] == ["waiting"]
    scene.pull(12, "closed", head)
    assert [one.state for one in deploys_of(head)] == ["cancelled"]
    assert not Channel.objects.filter(kind="preview").exists()


@pytest.mark.parametrize("write", [1, 3, 5, 7, 9, 12, 15, 18, 22])
def test_killed_anywhere_a_preview_is_made_once_and_removed(scene, monkeypatch, write):
    head = scene.head(12)
    scene.stage.node.repository.remote = scene.forge.refs(PROJECT)
    scene.send(scene.forge.pull(PROJECT, scene.secret, 12, "opened", head=head))
    deliveries.act_due()
    with monkeypatch.context() as patched:
        scene.stage.play_killed(patched, write)
    assert Channel.objects.get(name="preview-12").commit == head
    assert len(deploys_of(head)) == 1
    scene.send(scene.forge.pull(PROJECT, scene.secret, 12, "closed", head=head))
    deliveries.act_due()
    with monkeypatch.context() as patched:
        scene.stage.play_killed(patched, write)
    assert not Channel.objects.filter(kind="preview").exists()
    scene.report()
    assert len(scene.comments()) == 1


def test_a_preview_goes_when_nothing_new_comes(scene):
    scene.pull(12, "opened", scene.head(12))
    assert previews.sweep() == 0
    scene.stage.clock.advance(15 * 86_400)
    assert previews.sweep() == 1
    assert previews.sweep() == 0
    scene.play()
    assert not Channel.objects.filter(name="preview-12").exists()
    assert "nothing new came for 14 days" in scene.told(EventKind.PREVIEW_CLOSED)[0]
    head = scene.head(12)
    scene.pull(12, "synchronized", head)
    assert Channel.objects.get(name="preview-12").commit == head


def test_pull_requests_of_another_repository_are_others(scene):
    scene.pull(13, "opened", scene.head(13), head_project="charlie/notes")
    scene.pull(12, "opened", scene.head(12))
    scene.forge.create("bob/other")
    body = {"url": scene.forge.clone_url("bob/other"), "vendor": "gitea", "token": TOKEN}
    assert scene.api("PUT", "/sites/guestbook/connection", body).status_code == 200
    scene.stage.play()
    assert not Channel.objects.filter(kind="preview").exists()
    assert {one["state"] for one in scene.previews("")} == {"closed"}
    assert set(PullRequest.objects.values_list("comment", "allowed_head", "told_at")) == {("", "", 0.0)}
    scene.report()
    assert scene.forge.said["bob/other"].comments == {}
    assert scene.forge.said["bob/other"].statuses == []


def test_previews_that_are_switched_off_are_not_made_and_old_ones_still_close(scene):
    head = scene.head(12)
    scene.pull(12, "opened", head)
    scene.switch("off")
    assert scene.pull(14, "opened", scene.head(14)).outcome == "ignored"
    scene.pull(12, "closed", head)
    assert not Channel.objects.filter(kind="preview").exists()


def test_a_site_has_a_bounded_number_of_previews_and_says_so(scene, monkeypatch):
    monkeypatch.setattr(preview_channels, "MOST_A_SITE", 2)
    for number in (21, 22, 23):
        scene.pull(number, "opened", scene.head(number))
    assert Channel.objects.filter(kind="preview").count() == 2
    assert any("most" in text for text in scene.told(EventKind.CHANGE_FAILED))


def test_a_preview_is_closed_by_hand(scene, api, cast):
    scene.pull(12, "opened", scene.head(12))
    path = f"/sites/guestbook/previews/{scene.previews()[0]['id']}/close"
    assert api(cast.vera)("POST", path).status_code == 403
    assert api(cast.bob)("POST", path).status_code == 202
    scene.play()
    assert not Channel.objects.filter(name="preview-12").exists()
    assert api(cast.bob)("POST", path).status_code == 409


def test_a_pushed_branch_gets_a_preview_and_loses_it_when_it_is_deleted(scene, cast):
    site = Site.objects.get(name="guestbook")
    commit = scene.stage.node.repository.commit("A menu")
    assert previewing.branch_pushed(site, "new-menu", commit, cast.bob) == []
    scene.switch("branches")
    site.refresh_from_db()
    assert previewing.branch_pushed(site, "new-menu", commit, cast.bob) == [
        "new-menu gets a preview: http://preview-new-menu--guestbook.localhost:8000"
    ]
    scene.stage.play()
    assert Channel.objects.get(name="preview-new-menu").commit == commit
    assert previewing.branch_pushed(site, "edits/2027-01-01-x", commit, cast.bob) == []
    assert previewing.branch_pushed(site, "new-menu", "", cast.bob) == ["The preview of new-menu is removed."]
    assert "is still being removed" in previewing.branch_pushed(site, "new-menu", commit, cast.bob)[0]
    scene.stage.play()
    assert not Channel.objects.filter(name="preview-new-menu").exists()


def test_branches_of_the_connected_repository_are_previewed_too(scene):
    scene.switch("branches")
    made = scene.forge.commit(PROJECT, "feature/us", {"index.html": "Us"})
    scene.api("POST", "/sites/guestbook/connection/fetch")
    scene.play()
    name = name_for(None, "feature/us")
    assert Channel.objects.get(name=name).commit == made
    scene.forge.delete(PROJECT, "refs/heads/feature/us")
    scene.api("POST", "/sites/guestbook/connection/fetch")
    scene.play()
    assert not Channel.objects.filter(name=name).exists()


@pytest.mark.parametrize(
    ("number", "branch", "name"),
    [
        (12, "x", "preview-12"),
        (2_147_483_647, "x", "preview-2147483647"),
        (None, "menu", "preview-menu"),
        (None, "new-menu", "preview-new-menu"),
    ],
)
def test_names_of_previews_are_plain_where_they_can_be(number, branch, name):
    assert name_for(number, branch) == name


def test_names_of_previews_are_told_apart_where_they_cannot():
    branches = ["12", "a/b", "a-b/", "A-b", "a--b", "-", "ünïcode", "feature/a-very-long-name", "feature/a-very-long-name-2", "x" * 200]
    names = [name_for(None, branch) for branch in branches]
    assert len(set(names)) == len(branches)
    assert all(len(name) <= 20 and "--" not in name for name in names)
    assert "preview-12" not in names
