"""How a site runs: scale, settings, sleep, cron; and that what does not come up is put back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sitewright.bus.messages import TemplateSource
from sitewright.domain.desired import ActualCron, Strategy
from sitewright.domain.operation import OperationKind
from sitewright.domain.processes import Listen, ProcessSpec, Schedule
from sitewright.domain.route import Affinity
from sitewright.domain.sleep import SleepPolicy
from sitewright.errors import InvalidValueError, NotFoundError, QuotaError
from sitewright.manager.audit.models import TimelineEvent
from sitewright.manager.operations.models import Operation
from sitewright.manager.sites import changing, services
from sitewright.manager.sites.models import Channel
from sitewright.manager.sites.services import NewSite
from sitewright.manager.sites.settled import Wish
from sitewright.manager.sites.state import states_of
from sitewright.testing.fake_node import FLASK

MIB = 1024 * 1024
SOURCE = TemplateSource(name="flask")
SHOP = replace(
    FLASK,
    processes=(
        ProcessSpec("web", "gunicorn app:app", Listen.FD),
        ProcessSpec("worker", "python work.py"),
        ProcessSpec("release", "python migrate.py"),
        ProcessSpec("cron-tidy", "python tidy.py", schedule=Schedule("5 3 * * *", "Europe/Berlin")),
    ),
)


@pytest.fixture
def shop(cast, stage):
    """A site with a worker, a release command and a cron process."""
    stage.node.behaviour.blueprint = SHOP
    site, _ = services.create_site(cast.alice, NewSite("shop", cast.choir, SOURCE))
    stage.play()
    return site


def channel_of(site):
    return Channel.objects.select_related("release", "site__team").get(site=site)


def told(stage):
    return stage.node.puts[-1]


def events(kind):
    return list(TimelineEvent.objects.filter(kind=kind).values_list("text", flat=True))


def done(stage, operation):
    stage.play()
    return Operation.objects.get(id=operation.id)


def broken(stage, site):
    """From now on nothing new comes up."""
    stage.node.serving[channel_of(site).id] = "another"
    stage.node.behaviour.problem = "web exited with code 1"


# --- scale ---


def test_scaling_reaches_the_node_and_the_timeline(cast, api, stage, shop):
    body = {"processes": {"web": {"count": 3}, "worker": {"count": 0, "memory_mb": 64}}}
    answer = api(cast.bob)("PATCH", "/sites/shop/scale", body)
    assert answer.status_code == 202
    stage.play()
    scale = {one.type: one for one in told(stage).scale}
    assert (scale["web"].count, scale["worker"].count, scale["worker"].limits.memory_bytes) == (3, 0, 64 * MIB)
    assert scale["web"].limits.memory_bytes == 256 * MIB
    assert events("channel.scaled") == ["Scaled: web 3 copies; worker 0 copies, 64 MB each."]
    shown = {one["process"]: one for one in api(cast.vera)("GET", "/sites/shop/scale").json()["items"]}
    assert (shown["web"]["count"], shown["web"]["ready"], shown["worker"]["living"]) == (3, 3, 0)
    assert (shown["cron-tidy"]["fixed"], shown["release"]["fixed"], shown["web"]["fixed"]) == (True, True, False)


def test_what_is_not_named_stays_and_null_is_the_plans(cast, stage, shop):
    changing.scale(cast.alice, shop, {"web": {"count": 2, "memory_mb": 128}})
    stage.play()
    changing.scale(cast.alice, shop, {"web": {"memory_mb": None}, "worker": {"count": 2}})
    stage.play()
    assert channel_of(shop).scale == {"web": {"count": 2}, "worker": {"count": 2}}


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ({"web": {"count": 0}}, InvalidValueError, "at least one web"),
        ({"web": {"count": 17}}, InvalidValueError, "0 to 16"),
        ({"web": {"count": -1}}, InvalidValueError, "0 to 16"),
        ({"web": {"memory_mb": 512}}, InvalidValueError, "allows 32 to 256"),
        ({"web": {"cpu_millicores": 9000}}, InvalidValueError, "allows 50 to 1000"),
        ({"cron-tidy": {"count": 2}}, InvalidValueError, "cannot be set"),
        ({"release": {"count": 2}}, InvalidValueError, "cannot be set"),
        ({"mailer": {"count": 2}}, NotFoundError, "cron-tidy, release, web, worker"),
        ({}, InvalidValueError, "Nothing was asked"),
    ],
)
def test_a_scale_that_cannot_be_is_refused_in_words(cast, stage, shop, asked, error, says):
    before = Operation.objects.count()
    with pytest.raises(error, match=says):
        changing.scale(cast.alice, shop, asked)
    assert Operation.objects.count() == before


def test_the_teams_memory_bounds_the_scale(cast, stage, shop):
    cast.choir.max_memory_bytes = 1024 * MIB
    cast.choir.save()
    changing.scale(cast.alice, shop, {"web": {"count": 3}})
    stage.play()
    with pytest.raises(QuotaError, match="1024 MB are allowed, this would take 1280 MB"):
        changing.scale(cast.alice, shop, {"worker": {"count": 2}})
    changing.scale(cast.alice, shop, {"web": {"count": 1}})
    stage.play()
    assert channel_of(shop).wanted_memory_bytes == 512 * MIB


def test_two_at_once_cannot_take_the_same_memory(cast, stage, shop):
    cast.choir.max_memory_bytes = 1024 * MIB
    cast.choir.save()
    first = changing.scale(cast.alice, shop, {"web": {"count": 3}})
    second = changing.scale(cast.alice, shop, {"worker": {"count": 3}})
    stage.play()
    states = {Operation.objects.get(id=one.id).state for one in (first, second)}
    failed = Operation.objects.get(state="failed")
    assert states == {"succeeded", "failed"}
    assert (failed.error_code, failed.error_message) == ("quota", "The team's memory is used up.")
    assert channel_of(shop).wanted_memory_bytes == 1024 * MIB


def test_a_deploy_that_the_team_has_no_memory_for_says_so_and_changes_nothing(cast, stage, guestbook):
    cast.choir.max_memory_bytes = 300 * MIB
    cast.choir.save()
    stage.node.behaviour.blueprint = SHOP
    operation = done(stage, services.deploy(cast.alice, guestbook, SOURCE))
    assert (operation.state, operation.error_code) == ("failed", "quota")
    assert channel_of(guestbook).release.number == 1


def test_a_stopped_site_takes_no_memory_of_its_team(cast, api, stage, shop):
    assert api(cast.alice)("GET", "/sites/shop/scale").json()["team_used_memory_mb"] == 512
    services.act(cast.alice, shop, OperationKind.STOP)
    stage.play()
    assert api(cast.alice)("GET", "/sites/shop/scale").json()["team_used_memory_mb"] == 0


def test_a_scale_that_does_not_come_up_is_put_back(cast, stage, shop):
    broken(stage, shop)
    operation = done(stage, changing.scale(cast.alice, shop, {"web": {"count": 3}}))
    assert (operation.state, operation.error_details) == ("failed", "web exited with code 1")
    assert channel_of(shop).scale == {}
    assert told(stage).scale_of("web").count == 1
    assert events("change.failed") == ["The site was not scaled; it runs as before. web exited with code 1"]


# --- settings ---


def test_settings_reach_the_node(cast, api, stage, shop):
    body = {
        "sleep": {"freeze_after_seconds": 60, "stop_after_seconds": 600},
        "affinity": "cookie",
        "strategy": "blue_green",
        "max_surge": 3,
        "visits": {"connections": 20},
    }
    assert api(cast.bob)("PATCH", "/sites/shop/settings", body).status_code == 202
    stage.play()
    node = told(stage)
    assert (node.sleep, node.affinity, node.strategy) == (SleepPolicy(60, 600), Affinity.COOKIE, Strategy.BLUE_GREEN)
    assert (node.max_surge, node.visits.connections) == (3, 20)
    shown = api(cast.vera)("GET", "/sites/shop/settings").json()
    assert shown["sleep"] == {"freeze_after_seconds": 60, "stop_after_seconds": 600, "source": "own"}
    assert shown["plan"]["name"] == "standard"
    assert events("channel.configured")[0].startswith("Settings: freezes after 1 min, stops after 10 min; one browser stays with one copy")


def test_what_is_left_out_stays_and_default_is_the_plans(cast, api, stage, shop):
    ask = api(cast.alice)
    ask("PATCH", "/sites/shop/settings", {"sleep": {"freeze_after_seconds": 60, "stop_after_seconds": 600}})
    stage.play()
    ask("PATCH", "/sites/shop/settings", {"sleep": {"stop_after_seconds": 1200}})
    stage.play()
    assert told(stage).sleep == SleepPolicy(60, 1200)
    ask("PATCH", "/sites/shop/settings", {"sleep": "default"})
    stage.play()
    assert told(stage).sleep == SleepPolicy(900, 7200)
    assert ask("GET", "/sites/shop").json()["channel"]["sleep"]["policy"]["source"] == "default"


@pytest.mark.parametrize(
    "body",
    [
        {"sleep": "never"},
        {"sleep": {"freeze_after_seconds": 60, "stop_after_seconds": 0}},
        {"sleep": {"stop_after_seconds": 90_000}},
        {"sleep": {"freeze_after_seconds": -5}},
        {"sleep": "sometimes"},
        {"affinity": "planet"},
        {"max_surge": 0},
        {"max_surge": 17},
        {"visits": {"connections": -1}},
        {},
    ],
)
def test_settings_that_cannot_be_are_refused_in_words(cast, api, stage, shop, body):
    answer = api(cast.alice)("PATCH", "/sites/shop/settings", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert answer.json()["title"]


def test_settings_of_a_site_without_release_hold_from_the_first_deploy_on(cast, stage):
    stage.node.behaviour.away = True
    site, create = services.create_site(cast.alice, NewSite("new", cast.choir, SOURCE))
    from sitewright.manager.operations.services import cancel

    cancel(create)
    assert done(stage, changing.configure(cast.alice, site, Wish(affinity=Affinity.HOST))).state == "succeeded"
    assert stage.node.puts == []
    stage.node.behaviour.away = False
    services.deploy(cast.alice, site, SOURCE)
    stage.play()
    assert told(stage).affinity is Affinity.HOST


def test_settings_that_do_not_come_up_are_put_back(cast, stage, shop):
    broken(stage, shop)
    assert done(stage, changing.configure(cast.alice, shop, Wish(affinity=Affinity.HOST, max_surge=2))).state == "failed"
    channel = channel_of(shop)
    assert (channel.affinity, channel.max_surge) == ("none", 1)


# --- sleep, cron ---


@pytest.mark.parametrize("depth", ["frozen", "stopped"])
def test_a_sleeping_site_says_so_and_is_woken(cast, api, stage, shop, depth):
    stage.node.behaviour.sleep = depth
    stage.node.take()
    stage.bus.run(stage.node.catch_up(channel_of(shop).id), 5)
    stage.listen()
    site = api(cast.vera)("GET", "/sites/shop").json()
    assert site["state"] == "sleeping"
    assert (site["channel"]["sleep"]["stage"], site["channel"]["sleep"]["saved_bytes"]) == (depth, 48 * MIB)
    assert site["channel"]["last_request_at"]
    assert api(cast.bob)("POST", "/sites/shop/wake").status_code == 200
    stage.listen()
    assert states_of([shop])[shop.id] == "running"


def test_a_deeply_sleeping_site_takes_no_memory_of_its_team(cast, api, stage, shop):
    stage.node.behaviour.sleep = "stopped"
    stage.bus.run(stage.node.catch_up(channel_of(shop).id), 5)
    stage.listen()
    assert api(cast.alice)("GET", "/sites/shop/scale").json()["team_used_memory_mb"] == 0


def test_a_stopped_site_is_not_woken(cast, api, stage, shop):
    services.act(cast.alice, shop, OperationKind.STOP)
    stage.play()
    answer = api(cast.alice)("POST", "/sites/shop/wake")
    assert (answer.status_code, answer.json()["resolution"]) == (409, "Start it.")


def test_cron_processes_are_listed_with_what_became_of_them(cast, api, stage, shop):
    listed = api(cast.vera)("GET", "/sites/shop/crons").json()["items"]
    assert [(one["process"], one["schedule"], one["timezone"], one["next_at"]) for one in listed] == [
        ("cron-tidy", "5 3 * * *", "Europe/Berlin", None)
    ]
    now = stage.clock.now()
    stage.node.behaviour.crons = (ActualCron("cron-tidy", next_at=now + 60, last_at=now - 60, last_seconds=2.5, last_result="exit code 1"),)
    stage.bus.run(stage.node.catch_up(channel_of(shop).id), 5)
    stage.listen()
    one = api(cast.vera)("GET", "/sites/shop/crons").json()["items"][0]
    assert (one["last_result"], one["last_seconds"], bool(one["next_at"])) == ("exit code 1", 2.5, True)


def test_a_site_of_workers_only_is_running_when_they_are(cast, stage):
    stage.node.behaviour.blueprint = replace(SHOP, processes=SHOP.processes[1:])
    site, _ = services.create_site(cast.alice, NewSite("bot", cast.choir, SOURCE))
    stage.play()
    assert states_of([site])[site.id] == "running"


def test_a_busy_site_is_not_written_for_every_beat(cast, stage, shop, django_assert_num_queries):
    from sitewright.manager.sites.reports import _life, record_heartbeat

    channel = channel_of(shop)
    beat = stage.node.heartbeat(channel.id)
    record_heartbeat(beat)
    before = Channel.objects.get(id=channel.id)
    later = replace(beat.channels[0], last_request_at=beat.channels[0].last_request_at + 3)
    assert _life(before, later)["last_request_at"] == before.last_request_at
    much_later = replace(later, last_request_at=later.last_request_at + 30)
    assert _life(before, much_later)["last_request_at"] > before.last_request_at
