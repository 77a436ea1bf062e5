"""A release on trial: put there, judged, promoted, taken out by a person or by its node; and a deploy's strategy."""

from __future__ import annotations

import pytest

from sitewright.bus.messages import TemplateSource
from sitewright.domain.desired import CanaryState, Strategy
from sitewright.domain.operation import OperationKind
from sitewright.errors import ConflictError, InvalidValueError
from sitewright.manager.audit.models import TimelineEvent
from sitewright.manager.operations import services
from sitewright.manager.operations.models import Operation
from sitewright.manager.releases.models import Build, Release
from sitewright.manager.releases.services import kept_releases
from sitewright.manager.sites import changing
from sitewright.manager.sites import services as sites
from sitewright.manager.sites.models import Channel
from sitewright.manager.sites.services import Way
from sitewright.testing.fake_node import STATIC

SOURCE = TemplateSource(name="flask")


def channel_of(site):
    return Channel.objects.select_related("release", "canary_release").get(site=site)


def events(kind):
    return list(TimelineEvent.objects.filter(kind=kind).values_list("text", flat=True))


def try_out(cast, site, percent=10.0, **more):
    return sites.deploy(cast.alice, site, SOURCE, way=Way(percent=percent, **more))


def state(operation):
    return Operation.objects.get(id=operation.id).state


@pytest.fixture
def trial(cast, stage, guestbook):
    """The guestbook with release 2 on trial."""
    try_out(cast, guestbook)
    stage.play()
    return guestbook


def test_a_release_is_put_on_trial_beside_the_sites_own(cast, api, stage, guestbook):
    body = {"source": {"kind": "template", "name": "flask"}, "canary_percent": 10}
    answer = api(cast.bob)("POST", "/sites/guestbook/deploys", body)
    assert answer.status_code == 202
    stage.play()
    channel = channel_of(guestbook)
    assert (channel.release.number, channel.canary_release.number, channel.canary_slots) == (1, 2, 2)
    told = stage.node.puts[-1]
    assert (told.release.number, told.canary.release.number, told.canary.slots) == (1, 2, 2)
    shown = api(cast.vera)("GET", "/sites/guestbook/canary").json()["canary"]
    assert (shown["release"], shown["old_release"], shown["percent"], shown["state"]) == (2, 1, 12.5, "serving")
    assert (shown["requests"], shown["old_requests"], shown["errors"]) == (120, 880, 1)
    assert api(cast.vera)("GET", "/sites/guestbook").json()["channel"]["canary"]["release"] == 2
    assert events("canary.started") == ["Release 2 is on trial with 12.5 % of the requests."]
    assert Release.objects.get(number=2).trial == "running"


def test_a_trial_counts_into_the_memory_of_its_team(stage, trial):
    assert channel_of(trial).wanted_memory_bytes == 2 * 256 * 1024 * 1024


def test_the_files_of_a_release_on_trial_are_kept(cast, stage, trial):
    channel = channel_of(trial)
    for number in range(3, 12):
        Release.objects.create(channel=channel, number=number, droplet="d" * 64, blueprint=channel.release.blueprint)
    assert {channel.release_id, channel.canary_release_id} <= kept_releases(channel)


def test_promoting_gives_it_all_visitors(cast, api, stage, trial):
    assert api(cast.bob)("POST", "/sites/guestbook/canary/promote").status_code == 202
    stage.play()
    channel = channel_of(trial)
    assert (channel.release.number, channel.canary_release) == (2, None)
    assert (stage.node.puts[-1].release.number, stage.node.puts[-1].canary) == (2, None)
    assert api(cast.vera)("GET", "/sites/guestbook/canary").json() == {
        "canary": None,
        "last": {"release": 2, "verdict": "promoted", "reason": ""},
    }
    assert events("canary.promoted") == ["Release 2 passed its trial and is live."]
    changing.rollback(cast.alice, trial)
    stage.play()
    assert channel_of(trial).release.number == 1


def test_a_promotion_that_does_not_come_up_leaves_the_trial_on(cast, stage, trial):
    stage.node.behaviour.problem = "web exited with code 1"
    operation = changing.end_trial(cast.alice, trial, OperationKind.PROMOTE)
    stage.play()
    assert state(operation) == "failed"
    channel = channel_of(trial)
    assert (channel.release.number, channel.canary_release.number, channel.canary_slots) == (1, 2, 2)
    assert events("change.failed")


def test_aborting_takes_it_out(cast, api, stage, trial):
    assert api(cast.bob)("POST", "/sites/guestbook/canary/abort").status_code == 202
    stage.play()
    channel = channel_of(trial)
    assert (channel.release.number, channel.canary_release, channel.canary_slots) == (1, None, 0)
    last = api(cast.vera)("GET", "/sites/guestbook/canary").json()["last"]
    assert last == {"release": 2, "verdict": "aborted", "reason": "Taken out by bob@example.org."}
    assert events("canary.aborted") == ["Release 2 was taken out; visitors get the one before."]


def test_a_trial_that_its_node_ends_later_is_forgotten(cast, api, stage, trial):
    before = channel_of(trial).generation
    stage.node.behaviour.canary = CanaryState.ABORTED
    stage.node.behaviour.canary_reason = "12 of 100 answers were errors; 1 of 100 of the old release's."
    stage.bus.run(stage.node.catch_up(channel_of(trial).id), 5)
    stage.listen()
    channel = channel_of(trial)
    assert (channel.canary_release, channel.generation) == (None, before + 1)
    assert stage.node.puts[-1].canary is None
    last = api(cast.vera)("GET", "/sites/guestbook/canary").json()["last"]
    assert (last["verdict"], last["reason"]) == ("aborted", "12 of 100 answers were errors; 1 of 100 of the old release's.")
    stage.listen()
    assert channel_of(trial).generation == before + 1
    with pytest.raises(ConflictError, match="No release is on trial"):
        changing.end_trial(cast.alice, trial, OperationKind.PROMOTE)


def test_an_old_verdict_does_not_end_a_new_trial(cast, stage, trial):
    stage.node.behaviour.canary = CanaryState.ABORTED
    channel = channel_of(trial)
    stale = stage.node.heartbeat(channel.id)
    stage.node.behaviour.canary = CanaryState.SERVING
    changing.end_trial(cast.alice, trial, OperationKind.ABORT)
    stage.play()
    try_out(cast, trial)
    stage.play()
    from sitewright.manager.sites.reports import forget_aborted

    assert forget_aborted(stale) == []
    assert channel_of(trial).canary_release.number == 3


def test_a_release_that_its_node_takes_out_at_once_fails_its_deploy(cast, stage, guestbook):
    stage.node.behaviour.canary = CanaryState.ABORTED
    stage.node.behaviour.canary_reason = "It did not start: exit code 1.\nThe last lines of its output"
    operation = try_out(cast, guestbook)
    stage.play()
    row = Operation.objects.get(id=operation.id)
    assert (row.state, row.error_message, row.error_details) == (
        "failed",
        "The new release was taken out of its trial. It did not start: exit code 1.",
        "The last lines of its output",
    )
    channel = channel_of(guestbook)
    assert (channel.release.number, channel.canary_release) == (1, None)
    tried = Release.objects.get(number=2)
    assert (tried.trial, tried.trial_reason) == ("aborted", stage.node.behaviour.canary_reason)


def test_a_trial_is_waited_for(cast, stage, guestbook):
    stage.node.behaviour.canary = CanaryState.STARTING
    operation = try_out(cast, guestbook)
    stage.play(10)
    assert state(operation) == "waiting"
    stage.node.behaviour.canary = CanaryState.SERVING
    stage.bus.run(stage.node.catch_up(channel_of(guestbook).id), 5)
    stage.play()
    assert state(operation) == "succeeded"


def test_cancelling_a_deploy_on_trial_puts_it_back(cast, stage, guestbook):
    stage.node.behaviour.canary = CanaryState.STARTING
    operation = try_out(cast, guestbook)
    stage.play(10)
    services.cancel(Operation.objects.get(id=operation.id))
    stage.play()
    assert state(operation) == "cancelled"
    assert channel_of(guestbook).canary_release is None
    assert stage.node.puts[-1].canary is None
    assert Release.objects.get(number=2).trial == "aborted"


@pytest.mark.parametrize("percent", [0.0, 10.0])
def test_another_deploy_while_one_is_on_trial_is_told_what_to_do(cast, stage, trial, percent):
    with pytest.raises(ConflictError, match="Promote it or abort it first"):
        try_out(cast, trial, percent)
    assert Build.objects.count() == 2


def test_a_deploy_that_was_queued_before_the_trial_began_is_refused_too(cast, stage, guestbook):
    try_out(cast, guestbook)
    stage.clock.advance(0.01)
    late = sites.deploy(cast.alice, guestbook, SOURCE)
    stage.play()
    assert state(late) == "failed"
    assert channel_of(guestbook).canary_release.number == 2


@pytest.mark.parametrize("percent", [0.0, 25.0])
def test_a_deploy_may_replace_the_trial(cast, stage, trial, percent):
    operation = try_out(cast, trial, percent, replace=True)
    stage.play()
    assert state(operation) == "succeeded"
    channel = channel_of(trial)
    on_trial = channel.canary_release.number if channel.canary_release else None
    assert (channel.release.number, on_trial) == ((1, 3) if percent else (3, None))
    assert Release.objects.get(number=2).trial == "aborted"


def test_returning_while_one_is_on_trial_is_told_what_to_do(cast, stage, trial):
    with pytest.raises(ConflictError, match="Promote it or abort it first"):
        changing.rollback(cast.alice, trial)


def test_what_cannot_be_tried_is_refused_before_it_is_built(cast, stage, guestbook):
    builds = Build.objects.count()
    for percent in (-1.0, 100.0):
        with pytest.raises(InvalidValueError, match="cannot go on trial"):
            try_out(cast, guestbook, percent)
    Channel.objects.update(power="off")
    with pytest.raises(ConflictError, match="Nothing runs"):
        try_out(cast, guestbook)
    Channel.objects.update(power="on", mode="live")
    with pytest.raises(ConflictError, match="straight from its folder"):
        try_out(cast, guestbook)
    assert Build.objects.count() == builds


def test_files_only_cannot_be_tried(cast, stage, guestbook):
    stage.node.behaviour.blueprint = STATIC
    operation = try_out(cast, guestbook)
    stage.play()
    assert state(operation) == "failed"
    assert channel_of(guestbook).canary_release is None


def test_a_strategy_for_one_deploy_is_the_usual_one_again_afterwards(cast, stage, guestbook):
    operation = sites.deploy(cast.alice, guestbook, SOURCE, way=Way(strategy=Strategy.BLUE_GREEN))
    stage.play()
    assert state(operation) == "succeeded"
    assert [put.strategy for put in stage.node.puts[-2:]] == [Strategy.BLUE_GREEN, Strategy.ROLLING]
    assert channel_of(guestbook).strategy == "rolling"


def test_a_strategy_for_one_deploy_that_fails_is_put_back(cast, stage, guestbook):
    stage.node.behaviour.problem = "crashed"
    sites.deploy(cast.alice, guestbook, SOURCE, way=Way(strategy=Strategy.BLUE_GREEN))
    stage.play()
    assert channel_of(guestbook).strategy == "rolling"


def test_a_trial_survives_other_changes(cast, stage, trial):
    changing.scale(cast.alice, trial, {"web": {"count": 2}})
    stage.play()
    assert stage.node.puts[-1].canary.release.number == 2
    assert stage.node.puts[-1].scale_of("web").count == 2


WRITES = [("try", write) for write in range(1, 28)] + [(then, write) for then in ("promote", "abort") for write in range(1, 7)]


@pytest.mark.parametrize(("then", "write"), WRITES)
def test_killed_at_any_write_a_trial_still_ends_well(cast, stage, guestbook, monkeypatch, then, write):
    if then != "try":
        try_out(cast, guestbook)
        stage.play()
    operation = (
        try_out(cast, guestbook)
        if then == "try"
        else changing.end_trial(cast.alice, guestbook, OperationKind.PROMOTE if then == "promote" else OperationKind.ABORT)
    )
    stage.play_killed(monkeypatch, write)
    assert state(operation) == "succeeded"
    channel = channel_of(guestbook)
    trial = channel.canary_release.number if channel.canary_release else None
    assert (channel.release.number, trial) == {"try": (1, 2), "promote": (2, None), "abort": (1, None)}[then]
    assert Release.objects.count() == 2
    kind = {"try": "canary.started", "promote": "canary.promoted", "abort": "canary.aborted"}[then]
    assert len(events(kind)) == 1
    assert stage.node.puts[-1].generation == channel.generation
