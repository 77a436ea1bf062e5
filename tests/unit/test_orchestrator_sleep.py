"""When a channel dozes off, freezes, stops and wakes: each rule, and the moment before it holds."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from sitewright.domain.desired import Canary
from sitewright.domain.processes import Listen, ProcessScale, ProcessSpec, Schedule
from sitewright.domain.sleep import ALWAYS_ON, SLEEP_TRANSITIONS, SleepPolicy, SleepStage
from sitewright.domain.states import InstanceState, Power
from sitewright.orchestrator import steps
from sitewright.orchestrator.model import Actual, Crash, Instance, Rest, Sleep, wanted_processes
from sitewright.orchestrator.sleep import (
    LONGEST_DOZE_SECONDS,
    QUIET_SECONDS,
    doze_wait,
    dozes_after,
    freezes_after,
    get_up,
    lie_down,
    may_sleep,
    next_stage,
    shape_of,
    sleepers,
    trusted,
    visited_now,
)
from sitewright.testing.orchestra import channel, release

AWAKE, DOZING, FROZEN, STOPPED = SleepStage
PAGE = Path(__file__).parents[2] / "docs/explanation/sleep.md"
POLICY = SleepPolicy(freeze_after_seconds=60, stop_after_seconds=600)
DESIRED = replace(channel(1, release(1)), sleep=POLICY)
SLEEPING = sleepers(wanted_processes(DESIRED))
SHAPE = shape_of(SLEEPING)
DIGEST = SLEEPING[0].digest
READY = Instance(
    "alice",
    "web",
    1,
    DIGEST,
    "release1",
    InstanceState.READY,
    100.0,
    90.0,
    Listen.FD,
    Path("/run/alice"),
    ready_since=100.0,
    connections=0,
    waits=True,
)
ICE = replace(READY, state=InstanceState.FROZEN)


def actual(stage=AWAKE, *instances, idle=0.0, lasted=0.0, shape=SHAPE, **known):
    rest = Rest(Sleep(stage, 50.0, shape), idle, lasted, **known)
    return Actual(instances=instances, applied=1, rest=rest)


def following(*args, desired=DESIRED, **known):
    return next_stage(desired, actual(*args, **known), sleepers(wanted_processes(desired)))


def test_the_page_shows_the_table_of_the_code():
    found, stage = {}, ""
    for line in PAGE.read_text().split("## The stages")[1].split("## ")[0].splitlines():
        cells = re.findall(r"`([a-z]+)`", "|".join(line.split("|")[:4]))
        if line.startswith("|") and cells:
            stage = cells[0] if len(cells) == 2 else stage
            found.setdefault(stage, set()).add(cells[-1])
    assert found == {stage.value: {n.value for n in following} for stage, following in SLEEP_TRANSITIONS.items()}


@pytest.mark.parametrize(
    ("freeze", "stop", "dozes", "freezes"),
    [(60, 600, 60, 60), (60, 0, 60, 60), (0, 600, 600, 0), (600, 60, 60, 0), (60, 60, 60, 0), (0, 0, 0, 0), (-5, -5, 0, 0)],
)
def test_a_policy_says_when_it_dozes_and_whether_it_freezes(freeze, stop, dozes, freezes):
    policy = SleepPolicy(freeze, stop)
    assert (dozes_after(policy, can_freeze=True), freezes_after(policy, can_freeze=True)) == (dozes, freezes)


def test_without_a_freezer_only_the_time_to_stop_counts():
    assert dozes_after(POLICY, can_freeze=False) == 600
    assert dozes_after(SleepPolicy(60, 0), can_freeze=False) == 0


@pytest.mark.parametrize(
    "desired",
    [
        replace(DESIRED, sleep=ALWAYS_ON),
        replace(DESIRED, power=Power.OFF),
        replace(DESIRED, removed=True),
        replace(DESIRED, canary=Canary(release(2))),
        replace(DESIRED, scale=(ProcessScale("web", 0),)),
        replace(DESIRED, release=release(1, ProcessSpec("worker", "work"))),
        replace(DESIRED, release=release(1, static_root="")),
        replace(DESIRED, release=None),
    ],
)
def test_who_never_sleeps(desired):
    assert not may_sleep(desired, sleepers(wanted_processes(desired)))
    for stage in (DOZING, FROZEN, STOPPED):
        assert following(stage, ICE, desired=desired) is AWAKE, "and whoever slept already wakes"


def test_what_a_schedule_starts_does_not_sleep():
    desired = replace(
        DESIRED, release=release(1, ProcessSpec("web", "serve", Listen.FD), ProcessSpec("cron-x", "x", schedule=Schedule("@daily")))
    )
    assert [w.spec.type for w in sleepers(wanted_processes(desired))] == ["web"]


@pytest.mark.parametrize(("idle", "wait"), [(0.0, 60.0), (59.5, 0.5), (60.0, 0.0), (61.0, 0.0)])
def test_an_awake_channel_dozes_off_when_its_time_has_come(idle, wait):
    assert doze_wait(DESIRED, actual(AWAKE, READY, idle=idle), SLEEPING) == wait


def test_it_does_not_doze_while_somebody_waits_or_a_process_is_not_ready():
    assert doze_wait(DESIRED, actual(AWAKE, READY, idle=99, wanted=True), SLEEPING) is None
    for state in set(InstanceState) - {InstanceState.READY}:
        assert doze_wait(DESIRED, actual(AWAKE, READY, replace(READY, state=state), idle=99), SLEEPING) is None


@pytest.mark.parametrize(("connections", "busy"), [(0, False), (1, True), (None, True)])
def test_an_open_connection_is_a_visit_and_not_knowing_counts_as_one(connections, busy):
    assert visited_now(actual(AWAKE, replace(READY, connections=connections), idle=99), SLEEPING) is busy


@pytest.mark.parametrize(
    ("idle", "lasted", "connections", "expected"),
    [
        (60.2, QUIET_SECONDS - 0.01, 0, DOZING),
        (60.3, QUIET_SECONDS, 0, FROZEN),
        (60.3, QUIET_SECONDS, 1, DOZING),
        (60.3, QUIET_SECONDS, None, DOZING),
        (64.9, LONGEST_DOZE_SECONDS - 0.01, 1, DOZING),
        (65.0, LONGEST_DOZE_SECONDS, 1, AWAKE),
        (0.1, QUIET_SECONDS, 0, AWAKE),
    ],
)
def test_a_dozing_channel_freezes_when_everybody_has_gone(idle, lasted, connections, expected):
    assert following(DOZING, replace(READY, connections=connections), idle=idle, lasted=lasted) is expected


def test_a_dozing_channel_whose_process_crashed_is_awake():
    assert following(DOZING, replace(READY, state=InstanceState.CRASHED), idle=61, lasted=1) is AWAKE


def test_a_dozing_channel_that_does_not_freeze_stops_and_one_that_cannot_wakes():
    assert following(DOZING, READY, idle=601, lasted=1, desired=replace(DESIRED, sleep=SleepPolicy(0, 600))) is STOPPED
    assert following(DOZING, READY, idle=61, lasted=1, can_freeze=False) is AWAKE
    assert following(DOZING, READY, idle=601, lasted=1, can_freeze=False) is STOPPED


@pytest.mark.parametrize(("idle", "expected"), [(599.9, FROZEN), (600.0, STOPPED), (1e9, STOPPED)])
def test_a_frozen_channel_stops_when_its_time_has_come(idle, expected):
    assert following(FROZEN, ICE, idle=idle) is expected


def test_a_frozen_channel_that_never_stops_stays_frozen():
    assert following(FROZEN, ICE, idle=1e9, desired=replace(DESIRED, sleep=SleepPolicy(60, 0))) is FROZEN


def test_a_frozen_channel_of_which_nothing_is_left_is_stopped():
    assert following(FROZEN, idle=70) is STOPPED
    assert following(FROZEN, replace(ICE, state=InstanceState.CRASHED), idle=70) is STOPPED
    assert following(FROZEN, ICE, replace(ICE, id="bob", state=InstanceState.CRASHED), idle=70) is FROZEN


@pytest.mark.parametrize("stage", [FROZEN, STOPPED])
@pytest.mark.parametrize("state", [InstanceState.READY, InstanceState.STARTING])
def test_a_process_that_runs_means_that_somebody_had_come(stage, state):
    assert following(stage, replace(READY, state=state), idle=70) is AWAKE


@pytest.mark.parametrize("stage", [DOZING, FROZEN, STOPPED])
def test_whoever_waits_or_another_shape_wakes_it_from_every_stage(stage):
    assert following(stage, ICE, idle=70, wanted=True) is AWAKE
    for change in ({"restart": 1}, {"env": (("A", "b"),)}, {"release": release(2)}, {"scale": (ProcessScale("web", 2),)}):
        assert following(stage, ICE, idle=70, desired=replace(DESIRED, **change)) is AWAKE
    if stage is not DOZING:
        assert following(stage, ICE, idle=70, desired=replace(DESIRED, generation=5, sleep=SleepPolicy(30, 900))) is stage


def test_everything_is_frozen_before_that_is_noted():
    bed = lie_down(DESIRED, actual(DOZING, READY, replace(READY, id="bob"), idle=61), SLEEPING, FROZEN)
    assert [type(step) for step in bed.steps] == [steps.Freeze, steps.Freeze, steps.NoteSleep]
    assert bed.look_in == 539


def test_that_it_is_stopped_is_noted_before_anything_is_told_to_stop():
    bed = lie_down(DESIRED, actual(FROZEN, ICE, idle=600), SLEEPING, STOPPED)
    assert [type(step) for step in bed.steps] == [steps.NoteSleep, steps.Stop]


def test_what_was_told_to_stop_before_a_restart_is_told_again_and_nobody_is_told_twice():
    stopping = replace(ICE, state=InstanceState.STOPPING, told_to_stop=True)
    assert lie_down(DESIRED, actual(STOPPED, stopping), SLEEPING, STOPPED).steps == ()
    (stop,) = lie_down(DESIRED, actual(STOPPED, replace(stopping, unattended=True)), SLEEPING, STOPPED).steps
    assert isinstance(stop, steps.Stop)


def test_one_that_was_killed_in_its_sleep_is_told_and_removed_and_one_that_was_stopped_is_only_removed():
    dead = replace(ICE, state=InstanceState.CRASHED)
    bed = lie_down(DESIRED, actual(FROZEN, dead, ICE), SLEEPING, FROZEN)
    assert [type(step) for step in bed.steps] == [steps.NoteDeath, steps.Remove]
    bed = lie_down(DESIRED, actual(STOPPED, replace(dead, told_to_stop=True)), SLEEPING, STOPPED)
    assert [type(step) for step in bed.steps] == [steps.Remove]


def test_that_it_is_awake_is_noted_before_anything_is_thawed():
    assert [type(step) for step in get_up(actual(FROZEN, ICE), SLEEPING)] == [steps.NoteSleep, steps.Thaw]
    assert get_up(actual(AWAKE, READY), SLEEPING) == ()
    assert [type(step) for step in get_up(actual(AWAKE, ICE), SLEEPING)] == [steps.Thaw], "after a kill in between"


@pytest.mark.parametrize(("seconds", "count"), [(0.2, 1), (2.5, 1), (2.51, 0), (None, 0)])
def test_only_who_started_quickly_the_last_time_is_trusted(seconds, count):
    starting = replace(READY, state=InstanceState.STARTING)
    known = {} if seconds is None else {DIGEST: seconds}
    assert len(trusted(replace(actual(AWAKE, starting), start_seconds=known), SLEEPING[0])) == count


def test_nobody_is_trusted_after_a_crash_without_the_platforms_socket_or_with_other_code():
    starting = replace(READY, state=InstanceState.STARTING)
    known = replace(actual(AWAKE, starting), start_seconds={DIGEST: 0.1, "other": 0.1})
    assert len(trusted(known, SLEEPING[0])) == 1
    assert not trusted(replace(known, crashes=(Crash("web", DIGEST, 1, 0.0, "exited"),)), SLEEPING[0])
    assert not trusted(replace(known, instances=(replace(starting, listen=Listen.PORT, waits=False),)), SLEEPING[0])
    assert trusted(replace(known, instances=(replace(starting, listen=Listen.PORT, waits=True),)), SLEEPING[0])
    assert not trusted(replace(known, instances=(replace(starting, digest="other"),)), SLEEPING[0])
    assert not trusted(known, None)
