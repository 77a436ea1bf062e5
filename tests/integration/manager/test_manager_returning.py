"""Returning to a release of before, without a build; and that a change whose worker is killed at any write still ends well."""

from __future__ import annotations

import pytest

from sitewright.bus.messages import TemplateSource
from sitewright.errors import ConflictError, NotFoundError
from sitewright.manager.audit.models import TimelineEvent
from sitewright.manager.operations.models import Operation
from sitewright.manager.releases.models import Release
from sitewright.manager.sites import changing, services
from sitewright.manager.sites.models import Channel
from sitewright.manager.sites.settled import Wish

SOURCE = TemplateSource(name="flask")


def channel_of(site):
    return Channel.objects.select_related("release").get(site=site)


def told(stage):
    return stage.node.puts[-1]


def events(kind):
    return list(TimelineEvent.objects.filter(kind=kind).values_list("text", flat=True))


def done(stage, operation):
    stage.play()
    return Operation.objects.get(id=operation.id)


def deployed(cast, stage, site, times):
    for _ in range(times):
        services.deploy(cast.alice, site, SOURCE)
        stage.play()


def test_a_site_returns_to_the_release_before_without_a_build(cast, api, stage, guestbook):
    deployed(cast, stage, guestbook, 1)
    builds = len(stage.node.builds)
    started = stage.clock.now()
    assert api(cast.bob)("POST", "/sites/guestbook/rollback").status_code == 202
    stage.play()
    assert stage.clock.now() - started <= 2
    assert channel_of(guestbook).release.number == 1
    assert len(stage.node.builds) == builds
    assert told(stage).release.number == 1
    assert events("release.rolled_back") == ["Returned to release 1."]


def test_the_release_before_is_one_that_visitors_have_had(cast, stage, guestbook):
    stage.node.behaviour.problem = "crashed"
    deployed(cast, stage, guestbook, 1)
    stage.node.behaviour.problem = ""
    deployed(cast, stage, guestbook, 1)
    assert channel_of(guestbook).release.number == 3
    changing.rollback(cast.alice, guestbook)
    stage.play()
    assert channel_of(guestbook).release.number == 1


def test_a_site_returns_to_a_release_by_its_number(cast, api, stage, guestbook):
    deployed(cast, stage, guestbook, 2)
    api(cast.alice)("POST", "/sites/guestbook/rollback", {"release": 1})
    stage.play()
    api(cast.alice)("POST", "/sites/guestbook/rollback", {"release": 3})
    stage.play()
    assert channel_of(guestbook).release.number == 3


def test_a_release_that_cannot_be_returned_to_is_refused_in_words(cast, stage, guestbook, make_live):
    with pytest.raises(ConflictError, match="no release before 1"):
        changing.rollback(cast.alice, guestbook)
    with pytest.raises(NotFoundError, match="no release 9"):
        changing.rollback(cast.alice, guestbook, 9)
    with pytest.raises(ConflictError, match="already"):
        changing.rollback(cast.alice, guestbook, 1)
    deployed(cast, stage, guestbook, 6)
    with pytest.raises(ConflictError, match="not kept any more"):
        changing.rollback(cast.alice, guestbook, 1)
    make_live(guestbook)
    with pytest.raises(ConflictError, match="straight from its folder"):
        changing.rollback(cast.alice, guestbook)


@pytest.fixture
def make_live():
    return lambda site: Channel.objects.filter(site=site).update(mode="live")


def test_a_return_that_does_not_come_up_is_put_back(cast, stage, guestbook):
    deployed(cast, stage, guestbook, 1)
    stage.node.behaviour.problem = "crashed"
    assert done(stage, changing.rollback(cast.alice, guestbook)).state == "failed"
    assert channel_of(guestbook).release.number == 2
    assert events("change.failed")


@pytest.mark.parametrize("write", range(1, 7))
@pytest.mark.parametrize("kind", ["scale", "configure", "rollback"])
def test_killed_at_any_write_a_change_still_ends_well(cast, stage, guestbook, monkeypatch, kind, write):
    deployed(cast, stage, guestbook, 1)
    before = channel_of(guestbook).generation
    operation = {
        "scale": lambda: changing.scale(cast.alice, guestbook, {"web": {"count": 2}}),
        "configure": lambda: changing.configure(cast.alice, guestbook, Wish(max_surge=2)),
        "rollback": lambda: changing.rollback(cast.alice, guestbook),
    }[kind]()
    stage.play_killed(monkeypatch, write)
    assert Operation.objects.get(id=operation.id).state == "succeeded"
    channel = channel_of(guestbook)
    assert (channel.generation, channel.applied) == (before + 1, before + 1)
    assert TimelineEvent.objects.filter(operation_id=operation.id).count() == 1
    assert Release.objects.count() == 2
