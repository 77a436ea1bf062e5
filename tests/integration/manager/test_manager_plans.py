"""Plans: what they allow, who changes them, and that a change reaches every site."""

from __future__ import annotations

import pytest

from sitewright.domain.limits import MIB
from sitewright.domain.sleep import SleepPolicy
from sitewright.errors import ForbiddenError, InvalidValueError, QuotaError
from sitewright.manager.sites import changing, desired
from sitewright.manager.sites.models import Channel, Site
from sitewright.manager.sites.reports import push_soon
from sitewright.manager.sites.settled import Wish
from sitewright.manager.sites.spreading import spread
from sitewright.manager.teams import plans
from sitewright.manager.teams.models import Plan, Team


def channel_of(site):
    return Channel.objects.select_related("release", "site__team").get(site=site)


def spread_all(limit=100):
    """Until nothing is left; how many channels each time."""
    sizes = []
    while Plan.objects.filter(spreading=True).exists():
        ids = spread(limit)
        push_soon(ids)
        sizes.append(len(ids))
        assert len(sizes) < 100
    return [size for size in sizes if size]


def test_a_new_platform_has_three_plans_of_which_one_is_the_default(cast, api):
    items = api(cast.vera)("GET", "/plans").json()["items"]
    assert [(one["name"], one["is_default"], one["always_on"], one["open"]) for one in items] == [
        ("small", False, False, True),
        ("standard", True, False, True),
        ("always on", False, True, False),
    ]
    assert {one["plan"] for one in api(cast.alice)("GET", "/teams").json()["items"]} == {"standard"}


def test_a_plan_reaches_the_node_whole(cast, stage, guestbook):
    told = stage.node.puts[-1]
    web = told.scale_of("web").limits
    assert (web.memory_bytes, web.cpu_millicores, web.pids, web.open_files) == (256 * MIB, 1000, 128, 4096)
    assert told.scale_of("run").limits == web
    assert told.sleep == SleepPolicy(900, 7200)
    plans.give_plan(cast.ada, cast.choir, plans.plan_named("small"))
    assert spread_all() == [1]
    told = stage.node.puts[-1]
    web = told.scale_of("web").limits
    assert (web.memory_bytes, web.cpu_weight, web.log_bytes_per_second) == (128 * MIB, 50, 32 * 1024)
    assert (told.visits.connections, told.visits.requests_per_second, told.visits.body_mb) == (200, 100, 32)
    assert told.sleep == SleepPolicy(300, 1800)
    assert channel_of(guestbook).wanted_memory_bytes == 128 * MIB


def test_a_changed_plan_reaches_all_its_sites_a_bounded_number_at_a_time(cast, stage, guestbook):
    release = channel_of(guestbook).release
    for number in range(100, 110):
        site = Site.objects.create(number=number, name=f"site-{number}", team=cast.choir)
        channel = Channel.objects.create(site=site, node="node1", release=release)
        desired.change(channel)
    assert spread() == []
    standard = plans.plan_named("standard")
    plans.save_plan(cast.ada, standard, {"memory_mb": 192})
    assert spread_all(4) == [4, 4, 3]
    assert {one.scale_of("web").limits.memory_bytes for one in stage.node.desired.values()} == {192 * MIB}
    assert len(stage.node.desired) == 11
    assert set(Channel.objects.values_list("wanted_memory_bytes", flat=True)) == {192 * MIB}
    generations = list(Channel.objects.values_list("generation", flat=True))
    plans.save_plan(cast.ada, standard, {"open": False})
    assert spread_all() == []
    assert list(Channel.objects.values_list("generation", flat=True)) == generations


def test_a_spreading_plan_goes_on_after_a_restart_and_what_a_node_missed_is_compared(cast, stage, guestbook):
    plans.save_plan(cast.ada, plans.plan_named("standard"), {"memory_mb": 192})
    stage.node.behaviour.away = True
    push_soon(spread())
    assert stage.node.puts[-1].scale_of("web").limits.memory_bytes == 256 * MIB
    stage.node.behaviour.away = False
    from sitewright.manager.sites.reports import compare

    compare("node1")
    assert stage.node.puts[-1].scale_of("web").limits.memory_bytes == 192 * MIB
    assert spread_all() == []


def test_an_owners_wish_never_exceeds_a_plan_that_came_later(cast, stage, guestbook):
    changing.scale(cast.alice, guestbook, {"web": {"memory_mb": 200, "cpu_millicores": 900}})
    changing.configure(cast.alice, guestbook, Wish(visits={"connections": 500}))
    stage.play()
    plans.give_plan(cast.ada, cast.choir, plans.plan_named("small"))
    spread_all()
    told = stage.node.puts[-1]
    limits = told.scale_of("web").limits
    assert (limits.memory_bytes, limits.cpu_millicores, told.visits.connections) == (128 * MIB, 500, 200)


def test_only_a_plan_that_is_always_on_lets_a_site_never_sleep(cast, api, stage, guestbook):
    plans.give_plan(cast.ada, cast.choir, plans.plan_named("always on"))
    spread_all()
    assert not stage.node.puts[-1].sleep.sleeps
    api(cast.alice)("PATCH", "/sites/guestbook/settings", {"sleep": {"freeze_after_seconds": 60, "stop_after_seconds": 120}})
    stage.play()
    assert stage.node.puts[-1].sleep == SleepPolicy(60, 120)
    api(cast.alice)("PATCH", "/sites/guestbook/settings", {"sleep": "never"})
    stage.play()
    assert api(cast.alice)("GET", "/sites/guestbook/settings").json()["sleep"]["source"] == "never"
    plans.give_plan(cast.ada, cast.choir, plans.plan_named("standard"))
    spread_all()
    assert stage.node.puts[-1].sleep == SleepPolicy(900, 7200)


def test_administrators_make_change_and_give_plans(cast, api):
    ask = api(cast.ada)
    made = ask("POST", "/plans", {"name": "large", "memory_mb": 1024, "open": False})
    assert (made.status_code, made.json()["memory_mb"], made.json()["pids"]) == (201, 1024, 128)
    assert ask("POST", "/plans", {"name": "large"}).status_code == 409
    assert ask("PATCH", "/plans/large", {"memory_mb": 2048}).json()["memory_mb"] == 2048
    assert ask("PATCH", "/plans/none", {"memory_mb": 2048}).status_code == 404
    assert ask("PATCH", "/teams/choir", {"plan": "large"}).json()["plan"] == "large"
    assert api(cast.alice)("PATCH", "/teams/choir", {"plan": "large"}).status_code == 403
    assert api(cast.alice)("PATCH", "/teams/choir", {"plan": "standard"}).status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"memory_mb": 1},
        {"cpu_weight": 0},
        {"pids": 0},
        {"stop_after_minutes": 0},
        {"stop_after_minutes": 9999},
        {"name": ""},
        {"name": "a/b"},
        {"is_default": False},
    ],
)
def test_figures_that_make_no_sense_are_refused(cast, fields):
    with pytest.raises(InvalidValueError):
        plans.save_plan(cast.ada, plans.plan_named("standard"), fields)


def test_there_is_one_default_plan_and_teams_without_a_choice_follow_it(cast, stage, guestbook):
    plans.save_plan(cast.ada, plans.plan_named("small"), {"is_default": True})
    assert list(Plan.objects.filter(is_default=True).values_list("name", flat=True)) == ["small"]
    assert spread_all() == [1]
    assert stage.node.puts[-1].scale_of("web").limits.memory_bytes == 128 * MIB


def test_nobody_else_changes_a_plan(cast):
    with pytest.raises(ForbiddenError):
        plans.save_plan(cast.alice, plans.plan_named("small"), {"memory_mb": 64})
    with pytest.raises(ForbiddenError):
        plans.give_plan(cast.alice, cast.choir, plans.plan_named("always on"))


def test_sites_from_before_there_were_plans_follow_one(cast, stage, guestbook):
    Channel.objects.update(plan_stamp="")
    assert Plan.objects.get(spreading=True).name == "standard"
    assert spread_all() == [1]
    assert stage.node.puts[-1].sleep == SleepPolicy(900, 7200)


def test_a_platform_without_plans_still_works(cast, stage, db):
    Team.objects.update(plan=None)
    Plan.objects.all().delete()
    assert plans.allowance_for(cast.choir).process.memory_bytes == 256 * MIB
    assert spread() == []


def test_a_release_may_not_be_larger_than_the_plan_allows(cast, stage, guestbook):
    from sitewright.bus.messages import TemplateSource
    from sitewright.manager.sites import services

    plans.give_plan(cast.ada, cast.choir, plans.plan_named("small"))
    services.deploy(cast.alice, guestbook, TemplateSource(name="flask"))
    stage.play()
    assert list(stage.node.builds.values())[-1].quota_bytes == 1024 * MIB


def test_a_larger_plan_gives_a_team_no_more_than_its_quota(cast, stage, guestbook):
    small, standard = plans.plan_named("small"), plans.plan_named("standard")
    plans.give_plan(cast.alice, cast.choir, small)
    spread_all()
    Team.objects.filter(pk=cast.choir.pk).update(max_memory_bytes=4 * 128 * MIB)
    changing.scale(cast.alice, guestbook, {"web": {"count": 4}})
    stage.play()
    assert channel_of(guestbook).wanted_memory_bytes == 4 * 128 * MIB
    with pytest.raises(QuotaError):
        plans.give_plan(cast.alice, cast.choir, standard)
    assert Team.objects.get(pk=cast.choir.pk).plan_id == small.id
    plans.give_plan(cast.ada, cast.choir, standard)
    assert Team.objects.get(pk=cast.choir.pk).plan_id == standard.id
