"""Counting the access log, and following it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sitewright.config.paths import Paths
from sitewright.domain.traffic import LATENCY_BUCKETS, HostTraffic, SlotTraffic
from sitewright.router import follow
from sitewright.router.follow import TrafficFollower
from sitewright.router.traffic import TrafficCount
from sitewright.system.clock import FakeClock

NOW = 1_800_000_000.0


@pytest.fixture
def paths(tmp_path):
    paths = Paths(home=tmp_path / "home", run=tmp_path / "run")
    paths.logs.mkdir(parents=True)
    paths.routes.mkdir(parents=True)
    return paths


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def reopened():
    return []


@pytest.fixture
def follower(paths, clock, reopened):
    (paths.logs / "access.log").touch()
    following = TrafficFollower(paths, clock, lambda: reopened.append(1))
    following.start()
    yield following
    following.close()


def line(paths: Paths, host="alice.test", slots="3", connects="0.000", **more) -> dict:
    """A line as nginx writes it; *slots* of all tries."""
    return {
        "at": NOW,
        "host": host,
        "method": "GET",
        "status": 200,
        "bytes": 100,
        "seconds": 0.25,
        "upstream_seconds": "0.010",
        "upstream_status": "200",
        "request_id": "0" * 32,
        "upstream": " : ".join(f"unix:{paths.routes}/{host}/{slot}" for slot in slots.split()),
        "connects": connects,
        "headers": "0.020",
        "limits": "PASSED",
        **more,
    }


def written(*lines: dict) -> bytes:
    return b"".join(json.dumps(one, separators=(",", ":")).encode() + b"\n" for one in lines)


def counted(paths: Paths, *lines: dict) -> tuple[HostTraffic, ...]:
    count = TrafficCount(paths.routes)
    count.add(written(*lines))
    return count.take()


def bucket(seconds: float) -> tuple[int, ...]:
    """One answer after so long."""
    where = sum(bound < seconds for bound in LATENCY_BUCKETS)
    return tuple(int(number == where) for number in range(len(LATENCY_BUCKETS) + 1))


def test_what_an_app_answered_is_counted_by_host_and_slot(paths):
    (traffic,) = counted(paths, line(paths))
    assert traffic == HostTraffic(
        "alice.test", NOW, requests=1, sent_bytes=100, seconds=0.25, slots=(SlotTraffic(3, requests=1, latency=bucket(0.02)),)
    )


def test_files_and_the_manager_are_not_a_visit(paths):
    files = {"at": NOW, "host": "alice.test", "method": "GET", "status": 200, "bytes": 1, "seconds": 0.0}
    served_before_an_app = line(paths, upstream="", connects="", headers="", upstream_status="")
    manager = line(paths, host="manager.test", upstream="unix:/run/sw-0/manager.sock")
    assert counted(paths, files, served_before_an_app, manager) == ()


def test_a_refused_slot_and_the_one_that_answered_instead_are_told_apart(paths):
    (paths.routes / "alice.test").mkdir()
    (paths.routes / "alice.test" / "a3").symlink_to("7")
    tried = line(paths, slots="3 a3", connects="- : 0.000", headers="- : 0.020", upstream_status="502 : 200")
    (traffic,) = counted(paths, tried)
    assert (traffic.requests, traffic.errors) == (1, 0)
    assert [(slot.slot, slot.requests, slot.refused) for slot in traffic.slots] == [(3, 0, 1), (7, 1, 0)]


def test_a_broken_answer_is_an_error_of_its_slot_alone(paths):
    (paths.routes / "alice.test").mkdir()
    (paths.routes / "alice.test" / "a3").symlink_to("7")
    (traffic,) = counted(paths, line(paths, slots="3 a3", connects="0.000 : 0.000", headers="- : 0.020", upstream_status="502 : 200"))
    assert [(slot.slot, slot.requests, slot.errors) for slot in traffic.slots] == [(3, 1, 1), (7, 1, 0)]
    assert sum(traffic.slots[0].latency) == 0


def test_an_alternate_that_nobody_knows_any_more_is_left_out(paths):
    (traffic,) = counted(paths, line(paths, slots="3 a3", connects="- : 0.000", headers="- : 0.1", upstream_status="502 : 200"))
    assert [slot.slot for slot in traffic.slots] == [3]
    assert traffic.requests == 1


def test_a_phps_refusal_is_added_to_the_public_servers_line(paths):
    (paths.routes / "alice.test").mkdir()
    (paths.routes / "alice.test" / "g3").symlink_to("f7")
    inner = {"at": NOW, "host": "alice.test", "connects": "- : 0.000"}
    inner["upstream"] = f"unix:{paths.routes}/alice.test/f3 : unix:{paths.routes}/alice.test/g3"
    (traffic,) = counted(paths, line(paths), inner)
    assert [(slot.slot, slot.requests, slot.refused) for slot in traffic.slots] == [(3, 1, 1), (7, 0, 0)]
    assert traffic.requests == 1


def test_errors_limits_and_web_sockets(paths):
    lines = [
        line(paths, status=500, upstream_status="500"),
        line(paths, status=429, upstream="", connects="", limits="REJECTED"),
        line(paths, status=503, upstream="", connects="", limits="PASSEDREJECTED"),
        line(paths, status=101, upstream_status="101", seconds=3600.0),
        line(paths, status=404, upstream_status="404"),
        line(paths, status=502, connects="-", upstream_status="502", headers="-"),
    ]
    (traffic,) = counted(paths, *lines)
    assert (traffic.requests, traffic.errors, traffic.limited, traffic.seconds) == (4, 2, 2, 0.75)
    assert [(slot.requests, slot.errors, slot.refused) for slot in traffic.slots] == [(3, 1, 1)]


@pytest.mark.parametrize(
    "broken",
    [
        b"{",
        b'{"upstream":"unix:',
        b'"upstream":"unix:',
        b"\xff\xfe",
        b"[]",
        b'{"host":1,"upstream":"unix:/x"}',
        b'{"at":"x","upstream":"unix:/x"}',
    ],
)
def test_a_broken_line_spoils_no_other(paths, broken):
    count = TrafficCount(paths.routes)
    count.add(written(line(paths)) + broken + b"\n" + written(line(paths)))
    assert count.take()[0].requests == 2


def test_a_follower_sees_what_is_added_whole_lines_only(paths, follower):
    data = written(line(paths), line(paths))
    with (paths.logs / "access.log").open("ab", buffering=0) as log:
        log.write(data[:-10])
        follower.step()
        assert [host.requests for host in follower.take()] == [1]
        log.write(data[-10:])
        follower.step()
        assert [host.requests for host in follower.take()] == [1]
    assert follower.take() == ()


def test_a_new_follower_looks_back_a_few_seconds_only(paths, clock, follower):
    old, recent = clock.now() - 60, clock.now() - 2
    (paths.logs / "access.log").write_bytes(written(*[line(paths, at=old)] * 10_000, line(paths, at=recent)))
    again = TrafficFollower(paths, clock)
    again.start()
    while again.step():
        pass
    assert [host.requests for host in again.take()] == [1]
    again.close()


def test_a_clock_that_is_set_back_hides_no_visitor(paths, clock, follower):
    clock.jump(-3600)
    (paths.logs / "access.log").write_bytes(written(line(paths, at=clock.now())))
    follower.step()
    assert [host.requests for host in follower.take()] == [1]


def test_a_truncated_log_is_read_from_its_beginning(paths, follower):
    path = paths.logs / "access.log"
    path.write_bytes(written(line(paths), line(paths)))
    follower.step()
    os.truncate(path, 0)
    with path.open("ab") as log:
        log.write(written(line(paths)))
    follower.step()
    assert [host.requests for host in follower.take()] == [3]


def test_a_long_log_is_put_aside_and_nothing_is_missed(paths, clock, follower, reopened, monkeypatch):
    monkeypatch.setitem(follow.MOST_BYTES, "access.log", 100)
    path = paths.logs / "access.log"
    with path.open("ab", buffering=0) as old:
        old.write(written(line(paths)))
        follower.rotate()
        assert (reopened, path.exists(), path.with_name("access.log.1").exists()) == ([1], False, True)
        follower.rotate()
        assert reopened == [1, 1], "nginx is told again until it has begun a new one"
        follower.step()
        path.write_bytes(written(line(paths)))
        old.write(written(line(paths)))
        for _ in range(5):
            follower.step()
    assert [host.requests for host in follower.take()] == [2]
    clock.advance(follow.DRAIN_SECONDS)
    follower.step()
    follower.step()
    assert [host.requests for host in follower.take()] == [1]


def test_a_log_that_is_not_there_yet_is_waited_for(paths, clock):
    following = TrafficFollower(paths, clock)
    following.start()
    assert not following.step()
    (paths.logs / "access.log").write_bytes(written(line(paths)))
    following.step()
    assert [host.requests for host in following.take()] == [1]
    following.close()


def test_a_symlink_in_the_logs_place_is_not_followed(paths, clock):
    (paths.logs / "access.log").symlink_to("/etc/passwd")
    following = TrafficFollower(paths, clock)
    with pytest.raises(OSError, match="symbolic"):
        following.start()


def test_only_our_own_nginx_is_told_to_reopen(tmp_path):
    follow.reopen_logs(Path(tmp_path / "nobody.conf"))
