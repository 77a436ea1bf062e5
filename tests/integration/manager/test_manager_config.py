"""Configuration in the repository: wishes of a release, below its owner's settings and within the plan; how it is checked and shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sitewright.bus.messages import TemplateSource
from sitewright.domain.channel import ChannelKind
from sitewright.domain.pages import HeaderRule, PageRules, RedirectRule, Wishes
from sitewright.domain.processes import Listen, ProcessSpec
from sitewright.domain.sleep import SleepPolicy
from sitewright.manager.sites import changing, services
from sitewright.manager.sites.models import Channel
from sitewright.manager.sites.services import NewSite, NewValue
from sitewright.manager.sites.settled import Wish
from sitewright.testing.fake_node import FLASK

MIB = 1024 * 1024
SHOP = replace(
    FLASK,
    processes=(ProcessSpec("web", "gunicorn app:app", Listen.FD), ProcessSpec("worker", "python work.py")),
    config="sitewright.toml",
    rules=PageRules((HeaderRule("/*", (("X-A", "b"),)),), (RedirectRule("/old", "/new", 302, query=(("id", ":id"),)),), "lost.html"),
    wishes=Wishes(
        memory_mb=(("web", 128), ("worker", 999_999)),
        cpu_millicores=(("web", 500),),
        count=(("web", 3), ("worker", 0)),
        freeze_after_seconds=60.0,
        stop_after_seconds=600.0,
        env=(("COLOUR", "blue"), ("SIZE", "small")),
    ),
    channels=(("staging", Wishes(count=(("web", 1),), env=(("COLOUR", "red"),))),),
)


@pytest.fixture
def shop(cast, stage):
    """A site whose release has a configuration."""
    stage.node.behaviour.blueprint = SHOP
    site, _ = services.create_site(cast.alice, NewSite("shop", cast.choir, TemplateSource(name="flask")))
    stage.play()
    return site


def told(stage):
    return stage.node.puts[-1]


def scale(stage):
    return {one.type: one for one in told(stage).scale}


def test_what_a_release_wishes_reaches_the_node_within_the_plan(stage, shop):
    assert (scale(stage)["web"].count, scale(stage)["worker"].count) == (3, 0)
    assert scale(stage)["web"].limits.memory_bytes == 128 * MIB
    assert scale(stage)["worker"].limits.memory_bytes == 256 * MIB
    assert scale(stage)["web"].limits.cpu_millicores == 500
    assert told(stage).sleep == SleepPolicy(60.0, 600.0)
    assert dict(told(stage).env) == {"COLOUR": "blue", "SIZE": "small"}
    assert Channel.objects.get(site=shop).wanted_memory_bytes == 3 * 128 * MIB


def test_the_owners_own_settings_go_before_it(cast, stage, shop):
    changing.scale(cast.alice, shop, {"web": {"count": 2}})
    stage.play()
    assert (scale(stage)["web"].count, scale(stage)["web"].limits.memory_bytes) == (2, 128 * MIB)
    changing.configure(cast.alice, shop, Wish(sleep={"freeze_after_seconds": 120.0, "stop_after_seconds": 1200.0}))
    stage.play()
    assert told(stage).sleep == SleepPolicy(120.0, 1200.0)
    services.change_env(cast.alice, shop, {"COLOUR": NewValue("green", secret=False)}, [])
    stage.play()
    assert dict(told(stage).env) == {"COLOUR": "green", "SIZE": "small"}
    changing.scale(cast.alice, shop, {"web": {"count": None}})
    stage.play()
    assert scale(stage)["web"].count == 3


def test_what_the_plan_does_not_allow_is_the_plans(cast, stage):
    stage.node.behaviour.blueprint = replace(SHOP, wishes=Wishes(freeze_after_seconds=0.0, stop_after_seconds=0.0, count=(("web", 0),)))
    services.create_site(cast.alice, NewSite("shop", cast.choir, TemplateSource(name="flask")))
    stage.play()
    assert told(stage).sleep.sleeps
    assert scale(stage)["web"].count == 1


def test_a_rollback_brings_the_old_configuration_back(cast, stage, shop):
    stage.node.behaviour.blueprint = replace(SHOP, wishes=Wishes(count=(("web", 1),)))
    services.deploy(cast.alice, shop, TemplateSource(name="flask"))
    stage.play()
    assert scale(stage)["web"].count == 1
    changing.rollback(cast.alice, shop)
    stage.play()
    assert scale(stage)["web"].count == 3


def test_a_channel_may_differ_and_a_preview_asks_for_nothing(stage, shop):
    assert SHOP.wishes_for("staging").count == (("web", 1), ("worker", 0))
    assert dict(SHOP.wishes_for("staging").env) == {"COLOUR": "red", "SIZE": "small"}
    assert SHOP.wishes_for("production") == SHOP.wishes
    from sitewright.manager.sites.wishes import figures_of, sleep_seconds

    channel = Channel.objects.select_related("release", "canary_release").get(site=shop)
    channel.kind = ChannelKind.PREVIEW.value
    assert all("count" not in figures for figures in figures_of(channel, 16).values())
    assert sleep_seconds(channel) == (None, None)


def test_the_api_shows_what_is_followed(cast, api, stage, shop):
    shown = api(cast.alice)("GET", "/sites/shop/config").json()
    assert (shown["file"], shown["release"], shown["not_found"]) == ("sitewright.toml", 1, "lost.html")
    assert shown["redirects"] == [{"path": "/old", "target": "/new", "status": 302, "force": False, "query": {"id": ":id"}}]
    assert shown["headers"] == [{"path": "/*", "headers": {"X-A": "b"}}]
    assert (shown["wishes"]["instances"], shown["wishes"]["env"]["COLOUR"]) == ({"web": 3, "worker": 0}, "blue")
    assert api(cast.vera)("GET", "/sites/shop/config").json()["wishes"]["env"] == {"COLOUR": None, "SIZE": None}


def test_the_api_checks_a_file_without_deploying(cast, api):
    found = api(cast.charlie)("POST", "/config/check", {"text": "[build]\noutptu = 'x'\n[env]\nA_TOKEN = 'abcdefghijkl'"}).json()
    assert found["ok"] is False
    assert [(one["line"], one["warning"]) for one in found["problems"]] == [(2, False), (4, True)]
    assert "Did you mean “output”?" in found["problems"][0]["resolution"]
    assert api(cast.charlie)("POST", "/config/check", {"text": ""}).json() == {"ok": True, "problems": []}
    assert api(cast.charlie)("GET", "/config/schema").json()["title"] == "sitewright.toml"
