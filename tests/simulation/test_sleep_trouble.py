"""Sleep and wakes when something goes wrong: crashes, clocks that jump, a killed orchestrator, a machine that cannot freeze."""

import asyncio
from dataclasses import replace
from http import HTTPStatus

import pytest

from sitewright.domain.events import EventKind
from sitewright.domain.route import Presence
from sitewright.domain.states import Power
from sitewright.engines.base import EngineState
from sitewright.orchestrator.wake import CLIENT_SECONDS, Wakes
from sitewright.testing.orchestra import CHANNEL_ID, Machine, channel, release
from sitewright.testing.sleepers import HOST, POLICY, deployed, frozen, kinds, stage, stopped, texts, visit, visited


@pytest.fixture
async def machine(tmp_path):
    machine = Machine(tmp_path)
    await machine.boot()
    yield machine
    await machine.kill()


async def test_one_whose_last_start_was_slow_is_waited_for(machine):
    machine.deaf.add("release1")
    await machine.put(replace(channel(1, release(1)), sleep=POLICY))
    await machine.settle(5)
    machine.deaf.clear()
    await machine.settle(700, step=1.0)
    assert await stage(machine) == "stopped"
    machine.deaf.add("release1")
    wakes = Wakes(machine.orchestrator)
    asked = asyncio.create_task(wakes.wait(HOST, CLIENT_SECONDS))
    for _ in range(20):
        await machine.turn(0.1)
    assert not asked.done()
    assert machine.routed() == 0
    machine.deaf.clear()
    await machine.settle(1, step=0.1)
    assert await asked is HTTPStatus.NO_CONTENT


@pytest.mark.parametrize("jump", [-86400.0, 86400.0, -3.0, 400.0])
async def test_a_clock_that_jumps_puts_nobody_to_sleep_and_ends_nobody(machine, jump):
    await deployed(machine)
    before = machine.instances()
    visited(machine)
    machine.clock.jump(jump)
    await machine.settle(30)
    assert (await stage(machine), machine.routed(), machine.instances()) == ("awake", 1, before)
    await machine.settle(40)
    assert await stage(machine) == "frozen", "and idle time is counted on"
    machine.clock.jump(-jump)
    await machine.settle(30)
    assert await stage(machine) == "frozen"
    assert await visit(machine) is HTTPStatus.NO_CONTENT


async def test_a_crash_at_wake_is_told_with_its_reason_and_its_last_lines(machine):
    await stopped(machine)
    wakes = Wakes(machine.orchestrator)
    asked = asyncio.create_task(wakes.wait(HOST, CLIENT_SECONDS))
    machine.deaf.add("release1")
    machine.orchestrator.tools.memories.of(CHANNEL_ID).start_seconds.clear()
    for _ in range(80):
        await machine.turn(0.1)
        for instance in machine.instances():
            machine.engine.say(instance, b"KeyError: 'DATABASE'\n")
            machine.engine.crash(instance, 3)
    assert asked.done()
    assert await asked is HTTPStatus.FORBIDDEN
    state = await machine.orchestrator.actual(CHANNEL_ID)
    assert "exited with code 3" in state.problem
    assert "KeyError" in state.problem
    assert "exited with code 3" in texts(machine, EventKind.WAKE_FAILED)[0]
    assert machine.routes.table[CHANNEL_ID].presence is Presence.CRASHED


async def test_a_frozen_one_that_is_killed_is_told_and_the_next_visitor_starts_another(machine):
    await frozen(machine)
    machine.engine.exhaust_memory(machine.instances()[0])
    await machine.settle(3)
    assert machine.world.held == {}
    assert await stage(machine) == "stopped"
    assert "ended while it was asleep (killed: used 256 MB of 256 MB)" in texts(machine, EventKind.INSTANCE_OUT_OF_MEMORY)[0]
    assert await visit(machine) is HTTPStatus.NO_CONTENT
    assert machine.routed() == 1


async def test_without_a_freezer_it_stays_awake_until_it_is_time_to_stop(machine):
    await deployed(machine)

    async def refuse(instance_id):
        from sitewright.errors import EngineError

        raise EngineError("This machine cannot freeze instances.")

    machine.engine.freeze = refuse
    await machine.settle(70)
    state = await machine.orchestrator.actual(CHANNEL_ID)
    assert (state.sleep, machine.routed(), state.problem) == ("awake", 1, "")
    assert EventKind.SLEPT not in kinds(machine)
    await machine.settle(620, step=1.0)
    assert await stage(machine) == "stopped"


async def test_a_health_check_that_froze_with_it_does_not_count_against_it(machine):
    await frozen(machine)
    machine.engine.silence(machine.instances()[0])
    await machine.settle(300, step=1.0)
    assert machine.orchestrator.tools.memories.of(CHANNEL_ID).instance(machine.instances()[0]).failures == 0
    machine.engine.silence(machine.instances()[0], listens=True)
    assert await visit(machine) is HTTPStatus.NO_CONTENT
    await machine.settle(3)
    assert machine.routed() == 1


@pytest.mark.parametrize("wait", [60.1, 60.6, 61.5, 300.0, 599.0, 600.2, 601.0, 700.0])
async def test_the_orchestrator_may_be_killed_at_any_stage(machine, wait):
    await deployed(machine)
    machine.clock.advance(wait - 3)
    await machine.orchestrator.turn()
    await machine.orchestrator.turn()
    await machine.kill()
    machine.clock.advance(1.0)
    await machine.boot()
    await machine.settle(2)
    assert await visit(machine) is HTTPStatus.NO_CONTENT
    await machine.settle(3)
    assert (await stage(machine), machine.routed(), len(machine.instances())) == ("awake", 1, 1)
    await machine.settle(620, step=1.0)
    assert await stage(machine) == "stopped"
    await machine.kill()
    await machine.boot()
    starts = len([call for call, _ in machine.engine.calls if call == "start"])
    await machine.settle(10)
    assert (await stage(machine), machine.world.held, starts) == ("stopped", {}, 0)
    assert machine.routes.table[CHANNEL_ID].presence is Presence.ASLEEP


async def test_killed_between_thaw_and_writing_it_down_it_is_awake(machine):
    await frozen(machine)
    await machine.kill()
    for held in machine.world.held.values():
        held.frozen = False
    await machine.boot()
    await machine.settle(2)
    assert (await stage(machine), machine.routed()) == ("awake", 1)


async def test_killed_between_freezing_and_writing_it_down_it_sleeps_on(machine):
    await deployed(machine)
    while await stage(machine) == "awake":
        await machine.turn(0.5)
    for held in machine.world.held.values():
        held.frozen = True
    await machine.kill()
    await machine.boot()
    await machine.settle(2)
    assert await stage(machine) == "frozen"
    assert {o.state for o in await machine.engine.observe()} == {EngineState.FROZEN}


async def test_a_visitor_who_goes_away_is_forgotten_and_it_wakes_all_the_same(machine):
    await stopped(machine)
    wakes = Wakes(machine.orchestrator)
    machine.orchestrator.tools.memories.of(CHANNEL_ID).start_seconds.clear()
    asked = asyncio.create_task(wakes.wait(HOST, CLIENT_SECONDS))
    await asyncio.sleep(0.01)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    assert len(wakes) == 0
    await machine.settle(3)
    assert await stage(machine) == "awake"


async def test_a_wake_that_comes_to_nothing_does_not_keep_it_awake_for_ever(machine):
    desired = await stopped(machine)
    machine.deaf.add("release1")
    machine.orchestrator.tools.memories.of(CHANNEL_ID).start_seconds.clear()
    assert await Wakes(machine.orchestrator).wait(HOST, 0.01) is HTTPStatus.UNAUTHORIZED
    await machine.put(replace(desired, generation=2, power=Power.OFF))
    await machine.settle(200, step=1.0)
    machine.deaf.clear()
    await machine.put(replace(desired, generation=3))
    await machine.settle(70)
    assert await stage(machine) == "frozen"
    assert EventKind.WOKE not in kinds(machine)


async def test_a_clock_that_jumps_does_not_end_one_that_starts(machine):
    machine.deaf.add("release1")
    await machine.put(replace(channel(1, release(1)), sleep=POLICY))
    await machine.settle(3)
    before = machine.instances()
    machine.clock.jump(86400.0)
    await machine.settle(3)
    machine.deaf.clear()
    await machine.settle(3)
    assert (machine.instances(), machine.routed()) == (before, 1)


async def test_crashes_of_long_ago_do_not_make_a_wake_look_like_a_crash(machine):
    desired = await deployed(machine)
    for _ in range(4):
        machine.engine.crash(machine.instances()[0])
        await machine.settle(8)
    await machine.settle(40)
    await machine.settle(700, step=1.0)
    assert await stage(machine) == "stopped"
    assert desired.sleep.sleeps
    assert await visit(machine) is HTTPStatus.NO_CONTENT
