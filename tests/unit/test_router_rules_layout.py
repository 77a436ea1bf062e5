"""How page rules lie in the routing table, and how they are compiled."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from sitewright.config.paths import Paths
from sitewright.domain.identity import new_id
from sitewright.domain.pages import HeaderRule, PageRules, RedirectRule, Wishes
from sitewright.domain.route import Affinity, ChannelRoute, Presence
from sitewright.orchestrator.settled import _ROUTE, route_of
from sitewright.router.binary import names_njs
from sitewright.router.rules.compile import compiled
from sitewright.router.table import RouteTable

A = new_id()
RULES = PageRules((HeaderRule("/*", (("X-A", "b"),)),), (RedirectRule("/old/:x", "/new/:x"),), "lost.html")


@pytest.fixture
def table(tmp_path):
    return RouteTable(Paths(home=tmp_path / "home", run=tmp_path / "run"))


def names(table: RouteTable, host: str) -> set[str]:
    return {entry.name for entry in (table._hosts_folder / host).iterdir()}


def test_a_channel_without_rules_has_no_trace_of_them(table):
    table.set(ChannelRoute(A, ("alice.test",), public=Path("/p")))
    assert names(table, "alice.test") == {"public", "shown"}


@pytest.mark.parametrize(
    ("route", "kind", "there"),
    [
        (ChannelRoute(A, ("alice.test",), public=Path("/p")), "static", {"shown", "held"}),
        (ChannelRoute(A, ("alice.test",), public=Path("/p"), changeable=True), "loose", {"shown", "held"}),
        (ChannelRoute(A, ("alice.test",), sockets=(Path("/s"),)), "app", set()),
        (ChannelRoute(A, ("alice.test",), sockets=(Path("/s"),), public=Path("/p")), "mixed", {"files", "held"}),
        (ChannelRoute(A, ("alice.test",), public=Path("/p"), presence=Presence.ASLEEP), "asleep", {"files", "held", "asleep"}),
    ],
)
def test_a_channel_with_rules_has_none_of_the_markers_that_nginx_looks_for_first(table, route, kind, there):
    table.set(replace(route, rules=RULES))
    found = names(table, "alice.test")
    assert there | {"ruled", "rules", "policy"} <= found
    assert not found & {"public", "app", "mixed", "special", "loose"}
    assert (table._hosts_folder / "alice.test" / "policy").resolve().name.split(".")[0] == kind
    assert (table._hosts_folder / "alice.test" / "rules").read_bytes() == compiled(RULES)


@pytest.mark.parametrize("presence", [Presence.STOPPED, Presence.STARTING, Presence.CRASHED])
def test_who_has_nothing_to_show_needs_no_rules(table, presence):
    table.set(ChannelRoute(A, ("alice.test",), presence=presence, rules=RULES))
    assert names(table, "alice.test") == {presence.value}


def test_other_rules_are_another_version_and_sleepers_with_the_same_share_one(table):
    table.set(ChannelRoute(A, ("alice.test",), presence=Presence.ASLEEP, rules=RULES))
    other = new_id()
    table.set(ChannelRoute(other, ("bob.test",), presence=Presence.ASLEEP, rules=RULES))
    assert (table._hosts_folder / "alice.test").resolve() == (table._hosts_folder / "bob.test").resolve()
    table.set(ChannelRoute(other, ("bob.test",), presence=Presence.ASLEEP, rules=PageRules(not_found="x.html")))
    assert (table._hosts_folder / "alice.test").resolve() != (table._hosts_folder / "bob.test").resolve()


@pytest.mark.parametrize("affinity", [Affinity.NONE, Affinity.HOST])
def test_a_route_that_was_kept_on_disk_has_its_rules_again(affinity):
    route = ChannelRoute(A, ("alice.test",), public=Path("/p"), rules=RULES, affinity=affinity)
    assert route_of(json.loads(_ROUTE.dump_json(route))) == route
    older = json.loads(_ROUTE.dump_json(ChannelRoute(A, ("alice.test",))))
    del older["rules"]
    assert route_of(older) == ChannelRoute(A, ("alice.test",))


def test_the_file_says_its_own_size_and_every_bucket_lies_within():
    file = compiled(PageRules(redirects=tuple(RedirectRule(f"/old/{number}", "/new") for number in range(500))))
    seed, buckets, size = struct.unpack("<III", file[4:16])
    assert (file[:4], size, buckets & (buckets - 1)) == (b"SWR1", len(file), 0)
    places = struct.unpack(f"<{buckets + 1}I", file[16 : 16 + 4 * (buckets + 1)])
    assert list(places) == sorted(places)
    assert places[-1] == size
    assert 0 <= seed < 2**32


def test_what_is_not_allowed_is_left_out_of_the_file():
    bad = PageRules((HeaderRule("/*", (("Connection", "x"),)),), (RedirectRule("/a", "javascript:x"), RedirectRule("/(x)*", "/b")))
    assert compiled(bad) == compiled(PageRules())


def test_njs_has_to_be_built_in():
    assert names_njs("configure arguments: --with-http_ssl_module --add-module=njs-0.9.9/nginx --add-module=x")
    assert not names_njs("configure arguments: --with-http_ssl_module --add-dynamic-module=njs/nginx")


def test_wishes_of_a_channel_are_laid_over_the_common_ones():
    common = Wishes(count=(("web", 2), ("worker", 1)), freeze_after_seconds=60.0, env=(("A", "1"), ("B", "2")))
    own = Wishes(count=(("web", 1),), stop_after_seconds=10.0, env=(("B", "3"),))
    assert common.changed(own) == Wishes(
        count=(("web", 1), ("worker", 1)), freeze_after_seconds=60.0, stop_after_seconds=10.0, env=(("A", "1"), ("B", "3"))
    )
