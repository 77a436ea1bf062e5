"""The routing table on disk."""

from __future__ import annotations

import os
import re
import threading
from collections import Counter
from pathlib import Path

import pytest

from sitewright.config.paths import Paths
from sitewright.domain.identity import new_id
from sitewright.domain.limits import VisitLimits
from sitewright.domain.route import Affinity, ChannelRoute, Presence, spread
from sitewright.errors import InvalidValueError
from sitewright.router.policy import longer_than, tier
from sitewright.router.table import RETIRED_SECONDS, RouteTable
from sitewright.router.version import alternates
from sitewright.system.clock import FakeClock

A, B = new_id(), new_id()


@pytest.fixture
def paths(tmp_path):
    return Paths(home=tmp_path / "home", run=tmp_path / "run")


@pytest.fixture
def table(paths):
    return RouteTable(paths, FakeClock())


def served(paths: Paths) -> dict[str, dict[str, str]]:
    """Host → what is in its folder: symlink targets, or "" for files."""
    found = {}
    for host in sorted(paths.routes.iterdir()):
        found[host.name] = {
            entry.name: str(entry.readlink()) if entry.is_symlink() else "" for entry in host.iterdir() if entry.name != "n"
        }
        if "public" in found[host.name]:
            assert found[host.name].pop("shown") == found[host.name]["public"]
    return found


def test_a_folder_that_the_site_can_replace_has_only_the_link_that_is_looked_at(table, paths):
    table.set(ChannelRoute(A, ("alice.test",), public=Path("/live/public"), changeable=True))
    assert served(paths) == {"alice.test": {"shown": "/live/public", "loose": ""}}


def versions(paths: Paths) -> list[str]:
    return sorted(path.name for path in (paths.route_targets / ".v").iterdir())


def test_a_static_site_is_one_symlink_to_its_files(table, paths):
    assert table.set(ChannelRoute(A, ("alice.test", "www.alice.test"), public=Path("/p")))
    assert served(paths) == {"alice.test": {"public": "/p"}, "www.alice.test": {"public": "/p"}}


def test_sockets_are_dealt_out_over_sixteen_slots(table, paths):
    table.set(ChannelRoute(A, ("alice.test",), sockets=(Path("/s0"), Path("/s1"), Path("/s2"))))
    folder = served(paths)["alice.test"]
    assert folder.pop("app") == ""
    slots = {str(slot): f"/s{slot % 3}" for slot in range(16)}
    assert {name: target for name, target in folder.items() if not name.startswith("a")} == slots
    assert all(folder[folder[f"a{slot}"]] != folder[slot] for slot in slots)


def test_slots_are_written_as_they_are_given(table, paths):
    sockets = (Path("/canary"), *[Path("/s0")] * 7, *[Path("/s1")] * 8)
    table.set(ChannelRoute(A, ("alice.test",), sockets=sockets))
    assert [served(paths)["alice.test"][str(slot)] for slot in range(16)] == [str(path) for path in sockets]


@pytest.mark.parametrize("instances", range(2, 17))
def test_the_other_slot_is_always_another_instance_and_they_are_shared_out(instances):
    sockets = spread(tuple(Path(f"/{number}") for number in range(instances)))
    others = [sockets[slot] for slot in alternates(sockets)]
    assert all(socket != other for socket, other in zip(sockets, others, strict=True))
    for dead in set(sockets):
        asked = Counter(other for socket, other in zip(sockets, others, strict=True) if socket == dead)
        assert max(asked.values()) - min(asked.values()) <= 1
        assert len(asked) == min(instances - 1, sockets.count(dead))


def test_one_instance_has_no_other_slot(table, paths):
    table.set(ChannelRoute(A, ("alice.test",), sockets=(Path("/s"),)))
    assert set(served(paths)["alice.test"]) == {"app", *map(str, range(16))}


def test_a_sleeping_site_keeps_what_nginx_serves_and_is_marked(table, paths):
    table.set(ChannelRoute(A, ("alice.test",), public=Path("/p"), presence=Presence.ASLEEP))
    folder = served(paths)["alice.test"]
    assert folder == {"files": "/p", "asleep": "", "special": "", "policy": "n/asleep.none.0.0.0"}


def test_only_channels_that_ask_for_something_special_have_a_policy(table, paths):
    for visits, affinity, policy in (
        (VisitLimits(connections=33, requests_per_second=6, body_mb=3), Affinity.NONE, "app.none.64.10.5"),
        (VisitLimits(connections=64), Affinity.COOKIE, "app.cookie.64.0.0"),
        (VisitLimits(connections=99999, requests_per_second=99999, body_mb=1025), Affinity.HOST, "app.host.0.0.0"),
    ):
        table.set(ChannelRoute(A, ("alice.test",), sockets=(Path("/s"),), affinity=affinity, visits=visits))
        folder = served(paths)["alice.test"]
        assert folder["policy"] == f"n/{policy}"
        assert "special" in folder
        assert "app" not in folder


def test_a_platforms_own_bounds_need_no_policy(table, paths):
    table.set(ChannelRoute(A, ("alice.test",), sockets=(Path("/s"),), visits=VisitLimits(connections=1024, body_mb=1024)))
    assert "app" in served(paths)["alice.test"]


@pytest.mark.parametrize("number", [1, 9, 1000, 1048576, 52428800, 524288000])
def test_longer_than_is_what_it_says(number):
    longer = re.compile(longer_than(number))
    for other in {0, 1, number // 2, number - 1, number, number + 1, number + 9, number * 2, number * 9, number * 10}:
        assert bool(longer.match(str(other))) == (other > number), other


def test_a_limit_is_rounded_up_to_the_next_tier():
    assert [tier(limit, (1, 5, 10)) for limit in (0, 1, 2, 5, 6, 10, 11)] == [0, 1, 5, 5, 10, 10, 0]


def test_php_is_reached_through_nginxs_own_server(table, paths):
    table.set(ChannelRoute(A, ("alice.test",), sockets=(Path("/fpm"),), public=Path("/p"), fastcgi_root="/app/public"))
    folder = served(paths)["alice.test"]
    assert folder["0"] == folder["15"] == str(paths.run / "nginx" / "php.sock")
    assert folder["f0"] == folder["f15"] == "/fpm"
    assert (paths.routes / "alice.test" / "docroot").resolve().parts[-3:] == ("docroot", "app", "public")


@pytest.mark.parametrize("presence", [Presence.STARTING, Presence.CRASHED])
def test_a_marker_names_the_page(table, paths, presence):
    table.set(ChannelRoute(A, ("alice.test",), public=Path("/p"), presence=presence))
    assert served(paths)["alice.test"] == {"public": "/p", presence.value: ""}


def test_a_stopped_site_has_neither_files_nor_slots(table, paths):
    table.set(ChannelRoute(A, ("alice.test",), public=Path("/p"), sockets=(Path("/s"),), presence=Presence.STOPPED))
    assert served(paths)["alice.test"] == {"stopped": ""}


def test_an_unchanged_route_touches_nothing(table, paths):
    route = ChannelRoute(A, ("alice.test",), public=Path("/p"))
    table.set(route)

    def looks() -> dict[Path, tuple[int, int]]:
        return {path: (os.lstat(path).st_ino, os.lstat(path).st_mtime_ns) for path in paths.run.rglob("*")}

    before = looks()
    assert not table.set(route)
    assert not RouteTable(paths).set(route)
    assert looks() == before


def test_a_host_that_is_no_longer_listed_disappears(table, paths):
    table.set(ChannelRoute(A, ("alice.test", "old.test"), public=Path("/p")))
    table.set(ChannelRoute(A, ("alice.test",), public=Path("/p")))
    assert set(served(paths)) == {"alice.test"}


def test_a_host_moves_between_channels_and_the_old_owner_cannot_take_it_down(table, paths):
    table.set(ChannelRoute(A, ("shared.test",), public=Path("/a")))
    table.set(ChannelRoute(B, ("shared.test",), public=Path("/b")))
    assert served(paths)["shared.test"] == {"public": "/b"}
    table.set(ChannelRoute(A, (), public=Path("/a")))
    table.remove(A)
    assert served(paths)["shared.test"] == {"public": "/b"}


def test_a_removed_channel_leaves_nothing(table, paths):
    table.set(ChannelRoute(A, ("alice.test",), public=Path("/p")))
    assert table.remove(A)
    assert not table.remove(A)
    assert table.channels() == frozenset()
    assert served(paths) == {}


def test_a_new_table_knows_what_an_earlier_one_wrote(table, paths):
    table.set(ChannelRoute(A, ("alice.test", "www.alice.test"), public=Path("/p")))
    again = RouteTable(paths)
    assert again.channels() == {A}
    assert again.hosts(A) == {"alice.test", "www.alice.test"}
    again.set(ChannelRoute(A, ("alice.test",), public=Path("/p")))
    assert set(served(paths)) == {"alice.test"}


def test_replaced_versions_go_after_a_while(paths):
    clock = FakeClock()
    table = RouteTable(paths, clock)
    for number in range(5):
        table.set(ChannelRoute(A, ("alice.test",), public=Path(f"/{number}")))
    assert len(versions(paths)) == 5
    clock.advance(RETIRED_SECONDS)
    table.set(ChannelRoute(B, ("bob.test",), public=Path("/b")))
    assert len(versions(paths)) == 2
    assert served(paths)["alice.test"] == {"public": "/4"}


def test_a_version_that_is_wanted_again_is_not_thrown_away(paths):
    clock = FakeClock()
    table = RouteTable(paths, clock)
    one, two = (ChannelRoute(A, ("alice.test",), public=Path(path)) for path in ("/1", "/2"))
    for route in (one, two, one):
        table.set(route)
    clock.advance(RETIRED_SECONDS)
    table.set(ChannelRoute(B, ("bob.test",), public=Path("/b")))
    assert served(paths)["alice.test"] == {"public": "/1"}


class Killed(BaseException):
    """Stands for kill -9: nothing that comes after it runs."""


@pytest.mark.parametrize("change", ["set", "remove"])
def test_a_writer_killed_at_any_step_leaves_old_or_new_and_the_next_one_finishes(paths, monkeypatch, change):
    old = ChannelRoute(A, ("alice.test", "old.test"), public=Path("/old"), sockets=(Path("/s"),))
    new = ChannelRoute(A, ("alice.test", "new.test"), public=Path("/new"), fallback="a/b.html")
    step, survived = 0, False
    calls = ("symlink_to", "rename", "replace", "unlink", "mkdir", "chmod", "touch")
    originals = {name: getattr(Path, name) for name in calls}
    while not survived:
        table = RouteTable(paths)
        table.set(old)
        left = step

        def guarded(name):
            def call(self, *arguments, **more):
                nonlocal left
                if left == 0:
                    raise Killed
                left -= 1
                return originals[name](self, *arguments, **more)

            return call

        with monkeypatch.context() as patch:
            for name in calls:
                patch.setattr(Path, name, guarded(name))
            try:
                if change == "set":
                    table.set(new)
                else:
                    table.remove(A)
                survived = True
            except Killed:
                pass
        for folder in served(paths).values():
            assert (folder.get("files"), folder.get("public")) in {("/old", None), (None, "/new")}
            assert ("mixed" in folder) == ("files" in folder) == ("15" in folder)
        finisher = RouteTable(paths)
        if change == "set":
            finisher.set(new)
            assert set(served(paths)) == {"alice.test", "new.test"}
        else:
            finisher.remove(A)
            assert served(paths) == {}
            assert finisher.channels() == frozenset()
        finisher.remove(A)
        step += 1
    assert step > 3


def test_several_threads_may_change_it_at_once(table, paths):
    channels = [new_id() for _ in range(8)]

    def work(channel: str) -> None:
        for number in range(50):
            table.set(ChannelRoute(channel, (f"{channel}.test", "shared.test"), public=Path(f"/{channel}/{number}")))
            if number % 10 == 9:
                table.remove(channel)
        table.set(ChannelRoute(channel, (f"{channel}.test",), public=Path(f"/{channel}/end")))

    threads = [threading.Thread(target=work, args=(channel,)) for channel in channels]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert served(paths) == {f"{channel}.test": {"public": f"/{channel}/end"} for channel in channels}
    assert table.channels() == set(channels)


@pytest.mark.parametrize(
    "route",
    [
        ChannelRoute("../../etc/aa", ("alice.test",)),
        ChannelRoute(A, ("../c",)),
        ChannelRoute(A, ("Alice.test",)),
        ChannelRoute(A, ("",)),
        ChannelRoute(A, ("h" * 81,)),
        ChannelRoute(A, ("alice.test",), fallback="../up.html"),
        ChannelRoute(A, ("alice.test",), fallback="/etc/passwd"),
        ChannelRoute(A, ("alice.test",), fallback="a//b"),
        ChannelRoute(A, ("alice.test",), fastcgi_root="/app/../etc"),
    ],
)
def test_a_route_that_could_lead_astray_is_refused(table, paths, route):
    with pytest.raises(InvalidValueError):
        table.set(route)
    assert served(paths) == {}


def test_a_host_whose_socket_path_would_be_too_long_is_refused(tmp_path):
    table = RouteTable(Paths(home=tmp_path, run=tmp_path / ("x" * 60)))
    with pytest.raises(InvalidValueError, match="too long"):
        table.set(ChannelRoute(A, (".".join(["h" * 20] * 3),), public=Path("/p")))


def test_nginx_may_enter_whatever_the_umask(paths):
    before = os.umask(0o077)
    try:
        RouteTable(paths).set(ChannelRoute(A, ("alice.test",), public=Path("/p"), fallback="a/b.html", presence=Presence.STARTING))
    finally:
        os.umask(before)
    for folder in (paths.routes, paths.route_targets, (paths.routes / "alice.test").resolve()):
        assert folder.stat().st_mode & 0o011 == 0o011
    assert (paths.routes / "alice.test" / "fallback").resolve().stat().st_mode & 0o055 == 0o055


def test_all_that_sleep_lead_to_one_folder_which_stays(table, paths):
    ids = [new_id(), new_id()]
    for number, channel_id in enumerate(ids):
        table.set(ChannelRoute(channel_id, (f"site{number}.localhost",), presence=Presence.ASLEEP))
    targets = {(paths.route_targets / channel_id).readlink() for channel_id in ids}
    assert len(targets) == 1
    table.remove(ids[0])
    assert (paths.routes / "site1.localhost" / "asleep").is_file()
