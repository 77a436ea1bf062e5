"""What happened when a limit was hit is in the timeline: in plain words, with how often, and not every few seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sitewright.domain.events import EventKind
from sitewright.domain.limits import VisitLimits
from sitewright.domain.traffic import HostTraffic
from sitewright.engines.base import Stats
from sitewright.orchestrator.events import EventSpool
from sitewright.orchestrator.limits import LimitWatch
from sitewright.orchestrator.tally import ordinal
from sitewright.system.clock import FakeClock
from sitewright.testing.orchestra import CHANNEL_ID, SITE_ID, Machine, channel, release

MIB = 1024 * 1024
TWO_PAST_TWO = 1_800_000_000.0 - 1_800_000_000.0 % 86_400 + 14 * 3600 + 2 * 60


@pytest.fixture
async def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.clock.jump(TWO_PAST_TWO - made.clock.now())
    await made.boot()
    await made.put(replace(channel(1, release(1)), visits=VisitLimits(connections=50, requests_per_second=20)))
    await made.settle(5)
    return made


def told(machine: Machine) -> list[str]:
    kinds = {EventKind.LIMITED, EventKind.LOG_LINES_DROPPED}
    return [event.text for event in machine.orchestrator.tools.events.oldest() if event.kind in kinds]


def says(machine: Machine, stats: Stats) -> None:
    (instance,) = machine.instances()
    machine.world.stats[instance] = stats


async def test_a_limit_of_processes_is_told_once_an_hour_with_all_that_came_together(machine: Machine) -> None:
    watch = LimitWatch(machine.orchestrator)
    await watch.look()
    says(machine, Stats(forks_refused=9872))
    await watch.look()
    assert told(machine) == [
        "web.1 reached its limit of 128 processes and threads: 9,872 more could not be started. What runs goes on. (at 14:02 UTC)"
    ]
    for refused in (9873, 9900):
        says(machine, Stats(forks_refused=refused))
        await watch.look()
    assert len(told(machine)) == 1
    machine.clock.advance(3600)
    await watch.look()
    assert "28 more could not be started" in told(machine)[1]


async def test_what_an_instance_had_counted_before_the_node_started_anew_is_not_told_again(machine: Machine) -> None:
    says(machine, Stats(forks_refused=40, dropped_bytes=40 * MIB))
    await LimitWatch(machine.orchestrator).look()
    assert told(machine) == []


async def test_dropped_output_is_told(machine: Machine) -> None:
    watch = LimitWatch(machine.orchestrator)
    await watch.look()
    says(machine, Stats(dropped_bytes=12 * MIB))
    await watch.look()
    assert told(machine) == ["Lines of the log of web.1 were dropped: 12 MB more than the 64 KB a second that are kept. (at 14:02 UTC)"]


async def test_a_busy_moment_is_nobodys_business_and_five_minutes_of_it_are(machine: Machine) -> None:
    watch = LimitWatch(machine.orchestrator)
    for tick in range(29):
        says(machine, Stats(cpu_periods=100 * tick, cpu_throttled=82 * tick))
        await watch.look()
        machine.clock.advance(10)
    assert told(machine) == []
    for tick in range(29, 60):
        says(machine, Stats(cpu_periods=100 * tick, cpu_throttled=82 * tick))
        await watch.look()
        machine.clock.advance(10)
    assert len(told(machine)) == 1
    assert told(machine)[0].startswith("web.1 wants more than its 1 processor: it was held back in 82 % of the last 5 minutes")


async def test_an_app_that_hardly_runs_is_not_called_busy(machine: Machine) -> None:
    watch = LimitWatch(machine.orchestrator)
    for tick in range(60):
        says(machine, Stats(cpu_periods=10 * tick, cpu_throttled=9 * tick))
        await watch.look()
        machine.clock.advance(10)
    assert told(machine) == []


async def test_turned_away_visitors_are_told_with_the_sites_own_limits(machine: Machine) -> None:
    watch = LimitWatch(machine.orchestrator)
    watch.note_traffic([HostTraffic("guestbook.localhost", 0.0, requests=5, limited=1200), HostTraffic("other.localhost", 0.0, limited=3)])
    await watch.look()
    assert told(machine) == [
        "1,200 requests were turned away, because there were more than the site's limits allow: 20 requests a second and 50 at a time. "
        "(at 14:02 UTC)"
    ]


def test_the_third_memory_kill_of_a_day_says_so_even_after_a_restart_of_the_node(tmp_path: Path) -> None:
    clock = FakeClock(TWO_PAST_TWO)
    for expected in ("at 14:02 UTC.", "at 14:02 UTC, 2nd time today.", "at 14:02 UTC, 3rd time today."):
        spool = EventSpool(tmp_path / "events.jsonl", clock)
        event = spool.emit(EventKind.INSTANCE_OUT_OF_MEMORY, SITE_ID, CHANNEL_ID, "web.1 killed: used 256 MB of 256 MB.")
        assert event.text == f"web.1 killed: used 256 MB of 256 MB {expected}"
    clock.advance(86_400)
    assert spool.emit(EventKind.INSTANCE_OUT_OF_MEMORY, SITE_ID, CHANNEL_ID, "web.1 killed.").text == "web.1 killed at 14:02 UTC."


def test_a_damaged_tally_counts_from_one(tmp_path: Path) -> None:
    (tmp_path / "tally.json").write_text("{")
    spool = EventSpool(tmp_path / "events.jsonl", FakeClock(TWO_PAST_TWO))
    assert "today" not in spool.emit(EventKind.INSTANCE_OUT_OF_MEMORY, SITE_ID, CHANNEL_ID, "web.1 killed.").text


def test_numbers_have_their_endings() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 112)] == ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th"]
