"""From asking for a site to its being served, and everything that can go wrong on the way."""

from __future__ import annotations

import pytest

from sitewright.bus.messages import GitSource, TemplateSource, UploadSource
from sitewright.domain.operation import OperationKind
from sitewright.domain.states import BuildState, Mode, Power
from sitewright.errors import ConflictError, NotFoundError, QuotaError
from sitewright.manager.audit.models import AuditEntry, TimelineEvent
from sitewright.manager.domains.models import Route
from sitewright.manager.operations import services
from sitewright.manager.operations.models import Operation
from sitewright.manager.releases.models import Build, Release
from sitewright.manager.releases.services import kept_releases
from sitewright.manager.sites import desired
from sitewright.manager.sites import services as sites
from sitewright.manager.sites.models import Channel, EnvVar, RemovedChannel, Serial, Site
from sitewright.manager.sites.reports import compare
from sitewright.manager.sites.services import NewSite, NewValue
from sitewright.manager.sites.state import states_of
from sitewright.testing.fake_node import STATIC

FLASK_TEMPLATE = TemplateSource(name="flask")


def ask(cast, name="guestbook", **more):
    return sites.create_site(cast.alice, NewSite(name=name, team=cast.choir, source=FLASK_TEMPLATE, **more))


def fresh(operation):
    return Operation.objects.get(id=operation.id)


def channel_of(site):
    return Channel.objects.get(site=site)


def test_a_created_site_is_built_and_served(cast, api, stage):
    body = {"name": "guestbook", "team": "choir", "source": {"kind": "template", "name": "flask"}}
    response = api(cast.alice)("POST", "/sites", body)
    assert response.status_code == 202
    answer = response.json()
    assert answer["site"]["state"] == "deploying"
    assert answer["operation"]["steps"][0]["title"] == "Reserve the name and the address"
    stage.play()
    site = api(cast.alice)("GET", "/sites/guestbook").json()
    assert site["state"] == "running"
    assert site["release"] == 1
    assert site["url"] == "http://guestbook.localhost:8000"
    operation = api(cast.alice)("GET", f"/operations/{answer['operation']['id']}").json()
    assert operation["state"] == "succeeded"
    assert {step["state"] for step in operation["steps"]} == {"done"}


def test_what_the_node_is_told_is_everything_it_needs(cast, stage):
    ask(cast)
    stage.play()
    told = stage.node.puts[-1]
    assert (told.site_name, told.channel, told.number, told.mode, told.power) == ("guestbook", "production", 1, Mode.RELEASED, Power.ON)
    assert told.hosts == ("guestbook.localhost",)
    assert told.release is not None
    assert told.release.blueprint.process("web") is not None


def test_a_live_site_is_built_in_place(cast, stage):
    stage.node.behaviour.blueprint = STATIC
    site, _ = ask(cast, mode=Mode.LIVE)
    stage.play()
    assert {one.mode for one in stage.node.builds.values()} == {"live"}
    assert states_of([site])[site.id] == "running"


@pytest.mark.parametrize("write", range(1, 32))
def test_killed_at_any_write_a_create_still_ends_well(cast, stage, monkeypatch, write):
    """The worker dies at its n-th write; after its lease another one goes on. Nothing is done twice, nothing is lost."""
    site, operation = ask(cast)
    stage.play_killed(monkeypatch, write)
    assert fresh(operation).state == "succeeded"
    assert Release.objects.count() == Build.objects.count() == len(stage.node.builds) == 1
    channel = channel_of(site)
    assert (channel.generation, channel.applied) == (1, 1)
    assert TimelineEvent.objects.filter(kind="release.live").count() == 1


def test_a_failed_build_says_so_and_leaves_the_old_release(cast, stage, guestbook):
    stage.node.behaviour.build = BuildState.FAILED
    stage.node.behaviour.build_problem = "requirements.txt, line 3: no such package."
    operation = sites.deploy(cast.alice, guestbook, FLASK_TEMPLATE)
    stage.play()
    done = fresh(operation)
    assert (done.state, done.error_message) == ("failed", "requirements.txt, line 3: no such package.")
    channel = channel_of(guestbook)
    assert channel.release.number == 1
    assert channel.generation == 1
    assert states_of([guestbook])[guestbook.id] == "running"
    assert TimelineEvent.objects.filter(kind="build.failed").count() == 1


def test_a_release_that_does_not_come_up_is_put_back(cast, stage, guestbook):
    before = channel_of(guestbook).release_id
    stage.node.behaviour.problem = "exited with code 1 right after its start"
    operation = sites.deploy(cast.alice, guestbook, FLASK_TEMPLATE)
    stage.play()
    done = fresh(operation)
    assert (done.state, done.error_code, done.error_details) == ("failed", "rollout_failed", "exited with code 1 right after its start")
    channel = channel_of(guestbook)
    assert channel.release_id == before
    assert channel.generation == 3
    assert stage.node.serving[channel.id] == before
    assert stage.node.desired[channel.id].release.id == before
    said = TimelineEvent.objects.get(kind="release.failed")
    assert (said.text, said.who) == ("The new release is not live. exited with code 1 right after its start", cast.alice.email)


def test_only_the_newest_releases_and_the_live_one_can_be_returned_to(cast, stage, guestbook):
    channel = channel_of(guestbook)
    made = [
        Release.objects.create(channel=channel, number=number, droplet=f"{number:064}", blueprint=channel.release.blueprint)
        for number in range(2, 9)
    ]
    assert kept_releases(channel) == {channel.release_id, *(release.id for release in made[-5:])}


def test_the_record_is_put_back_even_when_the_node_is_away(cast, stage, guestbook):
    before = channel_of(guestbook).release_id
    stage.node.behaviour.slow = True
    operation = sites.deploy(cast.alice, guestbook, FLASK_TEMPLATE)
    stage.play(5)
    stage.node.behaviour.away = True
    services.cancel(fresh(operation))
    stage.play()
    assert fresh(operation).state == "cancelled"
    channel = channel_of(guestbook)
    assert channel.release_id == before
    assert stage.node.desired[channel.id].generation < channel.generation
    stage.node.behaviour.away = stage.node.behaviour.slow = False
    compare("node1")
    assert stage.node.desired[channel.id].generation == channel.generation


def test_a_node_that_is_away_for_a_moment_only_delays_it(cast, stage):
    stage.node.behaviour.away = True
    _, operation = ask(cast)
    stage.play(5)
    assert fresh(operation).state == "waiting"
    stage.node.behaviour.away = False
    stage.play()
    assert fresh(operation).state == "succeeded"


def test_a_long_build_is_waited_for_and_its_phase_shown(cast, stage):
    stage.node.behaviour.build = BuildState.RUNNING
    _, operation = ask(cast)
    stage.play(20)
    step = fresh(operation).steps.get(name="build")
    assert (step.state, step.detail) == ("running", "Installing")
    stage.bus.run(stage.node.finish_builds(BuildState.SUCCEEDED), 5)
    stage.turn()
    stage.play()
    assert fresh(operation).state == "succeeded"


def test_cancelling_a_deploy_ends_its_build(cast, stage, guestbook):
    stage.node.behaviour.build = BuildState.RUNNING
    operation = sites.deploy(cast.alice, guestbook, FLASK_TEMPLATE)
    stage.play(5)
    services.cancel(fresh(operation))
    stage.play(5)
    assert fresh(operation).state == "cancelled"
    assert stage.node.cancelled == {fresh(operation).params["found"]["build"]["build"]}


def test_a_retried_deploy_builds_anew_when_the_build_had_failed(cast, stage, guestbook):
    stage.node.behaviour.build = BuildState.FAILED
    operation = sites.deploy(cast.alice, guestbook, FLASK_TEMPLATE)
    stage.play()
    stage.node.behaviour.build = BuildState.SUCCEEDED
    services.retry(fresh(operation))
    stage.play()
    assert fresh(operation).state == "succeeded"
    assert channel_of(guestbook).release.number == 3


def test_stop_start_and_restart(cast, stage, guestbook):
    for kind, state in ((OperationKind.STOP, "stopped"), (OperationKind.START, "running"), (OperationKind.RESTART, "running")):
        operation = sites.act(cast.bob, guestbook, kind)
        stage.play()
        assert fresh(operation).state == "succeeded", kind
        assert states_of([guestbook])[guestbook.id] == state
    assert stage.node.puts[-1].restart == 1
    kinds = list(TimelineEvent.objects.order_by("at").values_list("kind", flat=True))
    assert {"site.stopped", "site.started", "site.restarted"} <= set(kinds)


def test_a_site_without_a_release_cannot_be_started(cast, stage):
    stage.node.behaviour.build = BuildState.FAILED
    site, _ = ask(cast)
    stage.play()
    operation = sites.act(cast.alice, site, OperationKind.START)
    stage.play()
    assert "Deploy it first" in fresh(operation).error_resolution


def test_variables_reach_the_node_and_nobody_else(cast, stage, guestbook):
    values = {"API_KEY": NewValue("s3cret", secret=True), "COLOUR": NewValue("blue")}
    operation = sites.change_env(cast.alice, guestbook, values, [])
    assert "s3cret" not in str(fresh(operation).params)
    stage.play()
    assert fresh(operation).state == "succeeded"
    assert stage.node.puts[-1].env == (("API_KEY", "s3cret"), ("COLOUR", "blue"))
    assert "s3cret" not in str(list(EnvVar.objects.values()))
    assert "s3cret" not in str(list(AuditEntry.objects.values())) + str(list(TimelineEvent.objects.values()))


def test_variables_with_which_the_site_does_not_come_up_are_put_back(cast, stage, guestbook):
    sites.change_env(cast.alice, guestbook, {"COLOUR": NewValue("blue")}, [])
    stage.play()
    stage.node.serving[channel_of(guestbook).id] = "another"
    stage.node.behaviour.problem = "crashed"
    operation = sites.change_env(cast.alice, guestbook, {"COLOUR": NewValue("red"), "NEW": NewValue("1")}, [])
    stage.play()
    assert fresh(operation).state == "failed"
    assert desired.environment(channel_of(guestbook)) == (("COLOUR", "blue"),)


def test_variables_of_a_site_without_release_are_kept_for_its_first_deploy(cast, stage):
    stage.node.behaviour.build = BuildState.FAILED
    site, _ = ask(cast)
    stage.play()
    operation = sites.change_env(cast.alice, site, {"COLOUR": NewValue("blue")}, [])
    stage.play()
    assert fresh(operation).state == "succeeded"
    assert desired.environment(channel_of(site)) == (("COLOUR", "blue"),)


def test_a_renamed_site_has_a_new_address(cast, stage, guestbook):
    operation = sites.rename(cast.alice, guestbook, "visitors")
    stage.play()
    assert fresh(operation).state == "succeeded"
    assert Site.objects.get().name == "visitors"
    assert stage.node.puts[-1].hosts == ("visitors.localhost",)


def test_a_rename_that_does_not_work_out_is_undone(cast, stage, guestbook):
    stage.node.serving[channel_of(guestbook).id] = "another"
    stage.node.behaviour.problem = "no"
    sites.rename(cast.alice, guestbook, "visitors")
    stage.play()
    assert Site.objects.get().name == "guestbook"
    assert Route.objects.get().host == "guestbook.localhost"


def test_a_name_that_was_taken_meanwhile_fails_the_rename(cast, stage, guestbook):
    operation = sites.rename(cast.alice, guestbook, "visitors")
    Site.objects.create(number=77, name="visitors", team=cast.choir)
    stage.play()
    assert fresh(operation).error_code == "conflict"
    assert Site.objects.filter(name="guestbook").exists()


def test_a_deleted_site_is_gone_and_its_number_is_never_given_again(cast, stage, guestbook):
    operation = sites.delete(cast.alice, guestbook, "guestbook")
    stage.play()
    assert fresh(operation).state == "succeeded"
    assert not Site.objects.exists()
    assert not Route.objects.exists()
    assert stage.node.puts[-1].removed
    again, _ = ask(cast)
    assert again.number == 2
    assert Serial.objects.get(name="site").last == 2


def test_the_trail_of_a_deleted_site_stays(cast, stage, guestbook):
    sites.delete(cast.alice, guestbook, "guestbook")
    stage.play()
    assert set(AuditEntry.objects.filter(subject_name="guestbook").values_list("action", flat=True)) >= {"site.created", "site.deleted"}
    assert Operation.objects.filter(kind="delete", site_name="guestbook", team=cast.choir).exists()


def test_deleting_needs_the_node(cast, stage, guestbook):
    stage.node.behaviour.away = True
    operation = sites.delete(cast.alice, guestbook, "guestbook")
    stage.play(10)
    assert fresh(operation).state == "waiting"
    assert states_of([guestbook])[guestbook.id] == "deleting"
    stage.node.behaviour.away = False
    stage.play()
    assert not Site.objects.exists()


def test_it_is_too_late_to_cancel_a_delete_once_files_go(cast, stage, guestbook):
    stage.node.behaviour.away = True
    operation = sites.delete(cast.alice, guestbook, "guestbook")
    stage.turn()
    with pytest.raises(ConflictError, match="too late"):
        services.cancel(fresh(operation))


@pytest.mark.parametrize("write", range(1, 10))
def test_killed_at_any_write_a_delete_still_ends_well(cast, stage, guestbook, monkeypatch, write):
    operation = sites.delete(cast.alice, guestbook, "guestbook")
    stage.play_killed(monkeypatch, write)
    assert fresh(operation).state == "succeeded"
    assert not Site.objects.exists()


def test_a_node_that_missed_a_removal_is_told_again_and_an_unknown_channel_is_left_alone(cast, stage, guestbook):
    channel_id = channel_of(guestbook).id
    held = stage.node.desired[channel_id]
    sites.delete(cast.alice, guestbook, "guestbook")
    stage.play()
    stage.node.desired[channel_id] = held
    stage.node.desired["unknown"] = held
    compare("node1")
    assert channel_id not in stage.node.desired
    assert "unknown" in stage.node.desired
    assert RemovedChannel.objects.filter(id=channel_id).exists()


def test_a_node_that_lost_its_memory_is_told_everything(cast, stage, guestbook):
    stage.node.desired.clear()
    compare("node1")
    assert channel_of(guestbook).id in stage.node.desired


def test_the_quota_of_sites_is_kept(cast, stage):
    cast.choir.max_sites = 1
    cast.choir.save()
    ask(cast, "one")
    with pytest.raises(QuotaError, match="1 sites"):
        ask(cast, "two")
    assert Site.objects.count() == 1


def test_a_build_may_not_be_larger_than_what_the_team_has_left(cast, stage):
    cast.choir.max_disk_bytes = 5000
    cast.choir.save()
    ask(cast)
    stage.play()
    ask(cast, "two")
    stage.play()
    assert [one.quota_bytes for one in stage.node.builds.values()] == [5000, 4000]


def test_somebody_elses_upload_cannot_be_used(cast, stage):
    with pytest.raises(NotFoundError, match="no such upload"):
        sites.create_site(cast.charlie, NewSite("mine", cast.choir, UploadSource(digest="a" * 64)))


@pytest.mark.parametrize("url", ["file:///etc", "ssh://x/y", "--upload-pack=x", "ext::sh -c id", "/etc", "git@host:x"])
def test_only_web_addresses_of_git_are_taken(cast, url):
    with pytest.raises(ValueError, match="git address"):
        sites.create_site(cast.alice, NewSite("mine", cast.choir, GitSource(url=url)))


def test_an_upload_that_was_cleared_away_meanwhile_fails_with_what_to_do(cast, api, stage):
    digest = api(cast.alice)("POST", "/uploads?filename=a.zip", b"PK").json()["digest"]
    body = {"name": "zipped", "source": {"kind": "upload", "digest": digest, "name": "a.zip"}}
    operation = api(cast.alice)("POST", "/sites", body).json()["operation"]
    from django.conf import settings

    (settings.PLATFORM.paths.uploads / digest).unlink()
    stage.play()
    error = api(cast.alice)("GET", f"/operations/{operation['id']}").json()["error"]
    assert error["resolution"] == "Upload it again."
