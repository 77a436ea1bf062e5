"""Pages about how a site runs: sleep, copies, trials, cron, returning to a release, settings, plans."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.test import Client

from sitewright.bus.messages import TemplateSource
from sitewright.domain.desired import ActualCron, CanaryState
from sitewright.domain.processes import Listen, ProcessSpec, Schedule
from sitewright.manager.sites.models import Channel, Site
from sitewright.manager.sites.services import Way, deploy
from sitewright.manager.teams.models import Plan, Team
from sitewright.testing.cast import Cast
from sitewright.testing.fake_node import FLASK
from sitewright.testing.stage import Stage

SHOP = replace(
    FLASK,
    processes=(
        ProcessSpec("web", "gunicorn app:app", Listen.FD),
        ProcessSpec("worker", "python work.py"),
        ProcessSpec("release", "python migrate.py"),
        ProcessSpec("cron-tidy", "python tidy.py", schedule=Schedule("5 3 * * *", "Europe/Berlin")),
    ),
)


def text(response) -> str:
    """The page."""
    return response.content.decode()


@pytest.fixture
def alice(cast: Cast, browse) -> Client:
    """Alice's browser."""
    return browse(cast.alice)


@pytest.fixture
def shop(stage: Stage, make_site) -> Site:
    """A site with every kind of process."""
    stage.node.behaviour.blueprint = SHOP
    return make_site("shop")


def heard(stage: Stage, site: Site) -> None:
    """The node says how it is."""
    stage.bus.run(stage.node.catch_up(Channel.objects.get(site=site).id), 5)
    stage.listen()


def test_a_team_that_is_over_its_memory_is_told(alice: Client, stage: Stage, shop: Site):
    stage.node.behaviour.sleep = "stopped"
    heard(stage, shop)
    Team.objects.filter(id=shop.team_id).update(max_memory_bytes=1024 * 1024)
    assert "more of its sites are awake" not in text(alice.get("/sites/shop/"))
    stage.node.behaviour.sleep = "awake"
    heard(stage, shop)
    assert "more of its sites are awake than it has room for" in text(alice.get("/sites/shop/"))


def test_the_head_of_every_page_of_a_site_follows_its_state(alice: Client, stage: Stage, shop: Site):
    def asked(page: str):
        again = page.split('hx-get="/sites/shop/head/settings/')[1].split('"', maxsplit=1)[0].replace("&amp;", "&")
        return alice.get(f"/sites/shop/head/settings/{again}", headers={"hx-request": "true", "hx-target": "head"})

    page = text(alice.get("/sites/shop/settings/"))
    assert asked(page).status_code == 204
    stage.node.behaviour.sleep = "frozen"
    heard(stage, shop)
    moved = asked(page)
    assert moved.status_code == 200
    assert "sleeping" in text(moved)
    assert asked(text(moved)).status_code == 204


def test_a_sleeping_site_says_so_and_can_be_woken(alice: Client, cast: Cast, browse, stage: Stage, shop: Site):
    stage.node.behaviour.sleep = "frozen"
    heard(stage, shop)
    page = text(alice.get("/sites/shop/"))
    assert 'wakes on the next visit · <span class="nowrap">48 MB freed' in page
    assert "Frozen for" in page
    assert "sleeping" in text(alice.get("/sites/"))
    assert 'id="wake"' not in text(browse(cast.vera).get("/sites/shop/"))
    alice.post("/sites/shop/wake/")
    stage.listen()
    assert "wakes on the next visit" not in text(alice.get("/sites/shop/"))


def test_copies_are_added_and_taken_away(alice: Client, stage: Stage, shop: Site):
    page = text(alice.get("/sites/shop/"))
    assert "One copy of worker more" in page
    assert "before each deploy" in page
    assert "One copy of release more" not in page
    alice.post("/sites/shop/scale/", {"process": "worker", "count": "2"})
    stage.play()
    assert stage.node.puts[-1].scale_of("worker").count == 2
    refused = text(alice.post("/sites/shop/scale/", {"process": "web", "count": "0"}, follow=True))
    assert "at least one web process" in refused
    assert "is not a number" in text(alice.post("/sites/shop/scale/", {"process": "web", "count": "many"}, follow=True))


def test_a_trial_is_seen_promoted_and_ended(alice: Client, cast: Cast, browse, stage: Stage, shop: Site):
    deploy(cast.alice, shop, TemplateSource(name="flask"), way=Way(percent=25))
    stage.play()
    page = text(alice.get("/sites/shop/"))
    assert "Release 2 on trial" in page
    assert "25 % of the requests" in page
    assert "21 ms" in page
    assert 'id="promote"' not in text(browse(cast.vera).get("/sites/shop/"))
    assert alice.post("/sites/shop/trial/nonsense/").status_code == 404
    alice.post("/sites/shop/trial/abort/")
    stage.play()
    page = text(alice.get("/sites/shop/"))
    assert "Release 2 on trial" not in page
    assert "taken out" in page
    deploy(cast.alice, shop, TemplateSource(name="flask"), way=Way(percent=25))
    stage.play()
    alice.post("/sites/shop/trial/promote/")
    stage.play()
    assert Channel.objects.get(site=shop).release.number == 3


def test_what_a_node_found_wrong_with_a_trial_is_told(alice: Client, cast: Cast, stage: Stage, shop: Site):
    stage.node.behaviour.canary, stage.node.behaviour.canary_reason = CanaryState.ABORTED, "12 of 100 answers were errors."
    deploy(cast.alice, shop, TemplateSource(name="flask"), way=Way(percent=25))
    stage.play()
    assert "12 of 100 answers were errors." in text(alice.get("/sites/shop/"))


def test_one_returns_to_a_release_that_is_kept(alice: Client, cast: Cast, browse, stage: Stage, shop: Site):
    assert "Roll back" not in text(alice.get("/sites/shop/releases/"))
    deploy(cast.alice, shop, TemplateSource(name="flask"))
    stage.play()
    assert 'id="roll-back-1"' in text(alice.get("/sites/shop/releases/"))
    assert "roll-back" not in text(browse(cast.vera).get("/sites/shop/releases/"))
    alice.post("/sites/shop/rollback/", {"release": "1"})
    stage.play()
    assert Channel.objects.get(site=shop).release.number == 1
    assert "Returned to release 1." in text(alice.get("/sites/shop/timeline/"))


def test_cron_is_listed_with_its_next_and_last_run(alice: Client, stage: Stage, shop: Site):
    assert "5 3 * * *" in text(alice.get("/sites/shop/"))
    now = stage.clock.now()
    stage.node.behaviour.crons = (ActualCron("cron-tidy", now + 90, now - 90, 2.5, "failed: exit code 1"),)
    heard(stage, shop)
    assert "failed: exit code 1" in text(alice.get("/sites/shop/"))


def test_sleep_is_set_in_minutes_and_set_back(alice: Client, stage: Stage, shop: Site):
    alice.post("/sites/shop/settings/sleep/", {"sleep": "own", "freeze": "1,5", "stop": "30"})
    stage.play()
    sleep = stage.node.puts[-1].sleep
    assert (sleep.freeze_after_seconds, sleep.stop_after_seconds) == (90, 1800)
    assert 'value="1.5"' in text(alice.get("/sites/shop/settings/"))
    assert "is not always on" in text(alice.post("/sites/shop/settings/sleep/", {"sleep": "never"}, follow=True))
    alice.post("/sites/shop/settings/sleep/", {"sleep": "default"})
    stage.play()
    assert stage.node.puts[-1].sleep.stop_after_seconds == 7200


def test_visitors_and_deploys_are_settled(alice: Client, stage: Stage, shop: Site):
    form = {"affinity": "cookie", "strategy": "blue_green", "max_surge": "2", "connections": "20", "requests_per_second": "", "body_mb": ""}
    alice.post("/sites/shop/settings/visitors/", form)
    stage.play()
    told = stage.node.puts[-1]
    assert (told.affinity.value, told.strategy.value, told.max_surge, told.visits.connections) == ("cookie", "blue_green", 2, 20)
    assert "cannot be chosen" in text(alice.post("/sites/shop/settings/visitors/", {"affinity": "planet"}, follow=True))


def test_limits_are_lowered_and_never_raised_above_the_plan(alice: Client, stage: Stage, shop: Site):
    alice.post("/sites/shop/settings/limits/", {"process": "worker", "memory_mb": "64", "processors": "0.5"})
    stage.play()
    limits = stage.node.puts[-1].scale_of("worker").limits
    assert (limits.memory_bytes, limits.cpu_millicores) == (64 * 1024 * 1024, 500)
    more = {"process": "worker", "memory_mb": "640", "processors": ""}
    assert "allows 32 to 256" in text(alice.post("/sites/shop/settings/limits/", more, follow=True))


def test_an_owner_chooses_an_open_plan_and_reads_what_it_allows(alice: Client, cast: Cast, browse, stage: Stage, shop: Site):
    page = text(alice.get("/sites/shop/settings/"))
    assert "has the plan <b>standard</b>" in page
    assert "256 MB of memory and one processor" in page
    assert "always on" not in page.split('id="id_plan"')[1]
    assert 'id="id_plan"' not in text(browse(cast.bob).get("/sites/shop/settings/"))
    assert "“small” now" in text(alice.post("/sites/shop/settings/plan/", {"plan": "small"}, follow=True))
    assert "given by administrators" in text(alice.post("/sites/shop/settings/plan/", {"plan": "always on"}, follow=True))
    assert browse(cast.bob).post("/sites/shop/settings/plan/", {"plan": "standard"}).status_code == 403


def test_administrators_make_and_change_plans(cast: Cast, browse, alice: Client):
    ada = browse(cast.ada)
    assert alice.get("/platform/plans/").status_code == 404
    assert "standard" in text(ada.get("/platform/plans/"))
    figures = dict.fromkeys(("cpu_weight", "pids", "open_files", "disk_mb", "log_kb_per_second", "memory_mb", "cpu_millicores"), "100")
    rest = {"connections": "0", "requests_per_second": "0", "body_mb": "0", "freeze_after_minutes": "5", "stop_after_minutes": "30"}
    form = {"name": "tiny", **figures, **rest, "open": "on"}
    assert ada.post("/platform/plans/new/", form).status_code == 302
    plan = Plan.objects.get(name="tiny")
    assert (plan.memory_mb, plan.open, plan.is_default) == (100, True, False)
    assert ada.post("/platform/plans/new/", form).status_code == 409
    assert ada.post(f"/platform/plans/{plan.id}/", {**form, "memory_mb": "1"}).status_code == 400
    assert ada.post(f"/platform/plans/{plan.id}/", {**form, "memory_mb": "200", "is_default": "on"}).status_code == 302
    plan.refresh_from_db()
    assert (plan.memory_mb, plan.is_default, Plan.objects.get(name="standard").is_default) == (200, True, False)
    assert alice.post(f"/platform/plans/{plan.id}/", form).status_code == 404


def test_a_release_is_put_on_trial_from_its_form(alice: Client, stage: Stage, shop: Site):
    form = {"source": "git", "git_url": "https://git.example.org/alice/shop.git", "git_ref": "", "share": "12"}
    assert "On trial: 12.5 % of the requests first" in text(alice.get("/sites/shop/deploy/"))
    assert alice.post("/sites/shop/deploy/", form).status_code == 302
    stage.play()
    assert stage.node.puts[-1].canary.slots == 2
    again = alice.post("/sites/shop/deploy/", form)
    assert (again.status_code, "Promote it or abort it first" in text(again)) == (400, True)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e308", "-1e308", "9" * 400, "0x10", "1e", "٣e٩٩٩"])
@pytest.mark.parametrize(
    ("page", "fields"),
    [
        ("scale", ("count",)),
        ("settings/limits", ("memory_mb", "processors")),
        ("settings/sleep", ("freeze", "stop")),
        ("settings/visitors", ("max_surge", "connections", "requests_per_second", "body_mb")),
        ("rollback", ("release",)),
    ],
)
def test_numbers_that_are_none_are_refused_in_words(alice: Client, shop: Site, page: str, fields: tuple[str, ...], number: str):
    before = Channel.objects.filter(site=shop).values().get()
    for field in fields:
        answer = alice.post(f"/sites/shop/{page}/", {"process": "web", field: number})
        assert answer.status_code in {302, 422}, (page, field)
    assert Channel.objects.filter(site=shop).values().get() == before
