"""Stories of one channel that sleeps and wakes, on a machine that is all memory, with the real planner, loop and wake answers."""

import asyncio
from dataclasses import replace
from http import HTTPStatus

import pytest

from sitewright.domain.events import EventKind
from sitewright.domain.processes import ProcessScale, ProcessSpec
from sitewright.domain.route import Presence
from sitewright.domain.sleep import ALWAYS_ON, SleepPolicy
from sitewright.domain.states import Power
from sitewright.domain.traffic import HostTraffic
from sitewright.engines.base import EngineState
from sitewright.orchestrator.wake import BROWSER_SECONDS, CLIENT_SECONDS, Wakes
from sitewright.testing.orchestra import CHANNEL_ID, Machine, channel, release

POLICY = SleepPolicy(freeze_after_seconds=60, stop_after_seconds=600)
HOST = "guestbook.localhost"


@pytest.fixture
async def machine(tmp_path):
    machine = Machine(tmp_path)
    await machine.boot()
    yield machine
    await machine.kill()


async def deployed(machine, count=1, policy=POLICY):
    desired = replace(channel(1, release(1), ProcessScale("web", count)), sleep=policy)
    await machine.put(desired)
    await machine.settle(3)
    assert machine.routed() == count
    return desired


async def stage(machine):
    return (await machine.orchestrator.actual(CHANNEL_ID)).sleep


async def frozen(machine, count=1):
    desired = await deployed(machine, count)
    await machine.settle(62)
    assert await stage(machine) == "frozen"
    return desired


async def stopped(machine, count=1, policy=POLICY):
    desired = await deployed(machine, count, policy)
    await machine.settle(610, step=1.0)
    assert await stage(machine) == "stopped"
    assert machine.world.held == {}
    return desired


async def visit(machine, seconds=0.05, patience=CLIENT_SECONDS, wakes=None):
    """Ask as the router does, and let the loop go round meanwhile."""
    asked = asyncio.create_task((wakes or Wakes(machine.orchestrator)).wait(HOST, patience))
    for _ in range(200):
        await asyncio.sleep(0)
        if asked.done():
            break
        await machine.turn(seconds)
    return await asked


def visited(machine):
    machine.orchestrator.note_traffic((HostTraffic(HOST, machine.clock.now(), requests=1),))


def kinds(machine):
    return [event.kind for event in machine.orchestrator.tools.events.oldest()]


def texts(machine, kind):
    return [event.text for event in machine.orchestrator.tools.events.oldest() if event.kind is kind]


async def test_a_channel_that_nobody_visits_freezes_then_stops_and_says_so(machine):
    await deployed(machine)
    await machine.settle(55)
    assert await stage(machine) == "awake"
    await machine.settle(7)
    state = await machine.orchestrator.actual(CHANNEL_ID)
    assert (state.sleep, [i.state for i in state.instances]) == ("frozen", ["frozen"])
    assert machine.routes.table[CHANNEL_ID].presence is Presence.ASLEEP
    assert machine.routed() == 0
    await machine.settle(545, step=1.0)
    state = await machine.orchestrator.actual(CHANNEL_ID)
    assert (state.sleep, state.saved_bytes, state.instances) == ("stopped", 1024 * 1024, ())
    assert state.sleep_since > 0
    assert machine.world.held == {}
    assert kinds(machine).count(EventKind.SLEPT) == 2
    assert texts(machine, EventKind.SLEPT)[-1] == "Stopped after 10 minutes without a visitor. 1 MB are freed."


async def test_the_route_is_withdrawn_before_anything_is_frozen(machine):
    await deployed(machine)
    order = []
    machine.on_step = lambda step: order.append(type(step).__name__)
    await machine.settle(62)
    assert order.index("SetRoute") < order.index("Freeze")


async def test_a_visitor_thaws_it_and_is_served_without_a_turn_of_the_loop(machine):
    await frozen(machine)
    assert await Wakes(machine.orchestrator).wait(HOST, CLIENT_SECONDS) is HTTPStatus.NO_CONTENT
    assert machine.routed() == 1
    assert [held.frozen for held in machine.world.held.values()] == [False]
    await machine.settle(3)
    assert await stage(machine) == "awake"
    assert texts(machine, EventKind.WOKE) == ["Woke in 0.00 s for a visitor."]


async def test_a_visitor_starts_a_stopped_one_and_is_served_at_once_when_it_started_quickly_the_last_time(machine):
    await stopped(machine)
    assert await Wakes(machine.orchestrator).wait(HOST, CLIENT_SECONDS) is HTTPStatus.NO_CONTENT
    assert (len(machine.instances()), machine.routed()) == (1, 1)
    await machine.settle(3)
    assert (len(machine.instances()), await stage(machine)) == (1, "awake")


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


@pytest.mark.parametrize("asleep", [frozen, stopped])
async def test_fifty_visitors_at_once_start_one(machine, asleep):
    await asleep(machine)
    machine.engine.calls.clear()
    wakes = Wakes(machine.orchestrator)
    answers = await asyncio.gather(*(wakes.wait(HOST, CLIENT_SECONDS) for _ in range(50)))
    assert set(answers) == {HTTPStatus.NO_CONTENT}
    await machine.settle(5)
    started = [call for call, _ in machine.engine.calls if call in ("start", "thaw")]
    assert (len(started), len(machine.instances())) == (1, 1)
    assert kinds(machine).count(EventKind.WOKE) == 1


async def test_a_visitor_while_it_dozes_finds_it_awake_and_nothing_is_frozen(machine):
    await deployed(machine)
    while await stage(machine) == "awake":
        await machine.turn(0.5)
    assert await stage(machine) == "dozing"
    assert await Wakes(machine.orchestrator).wait(HOST, CLIENT_SECONDS) is HTTPStatus.NO_CONTENT
    await machine.settle(10)
    assert (await stage(machine), machine.routed()) == ("awake", 1)
    assert "freeze" not in {call for call, _ in machine.engine.calls}


async def test_requests_that_are_under_way_end_before_anything_is_frozen(machine):
    await deployed(machine)
    while await stage(machine) == "awake":
        await machine.turn(0.5)
    machine.connected[machine.instances()[0]] = 1
    await machine.settle(2, step=0.2)
    assert await stage(machine) == "dozing"
    machine.connected.clear()
    await machine.settle(1, step=0.2)
    assert await stage(machine) == "frozen"


async def test_an_open_web_socket_keeps_it_awake(machine):
    await deployed(machine)
    machine.connected[machine.instances()[0]] = 1
    await machine.settle(900, step=1.0)
    assert (await stage(machine), machine.routed()) == ("awake", 1)
    machine.connected.clear()
    await machine.settle(65, step=1.0)
    assert await stage(machine) == "frozen"


async def test_visits_put_sleep_off(machine):
    await deployed(machine)
    for _ in range(20):
        await machine.settle(50, step=1.0)
        visited(machine)
    assert await stage(machine) == "awake"
    assert (await machine.orchestrator.actual(CHANNEL_ID)).last_request_at == machine.clock.now()


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


async def test_a_browser_is_told_to_look_again_while_it_still_starts(machine, monkeypatch):
    await stopped(machine)
    machine.deaf.add("release1")
    machine.orchestrator.tools.memories.of(CHANNEL_ID).start_seconds.clear()
    assert BROWSER_SECONDS == 3.0
    assert await Wakes(machine.orchestrator).wait(HOST, 0.05) is HTTPStatus.UNAUTHORIZED
    machine.deaf.clear()
    assert await visit(machine) is HTTPStatus.NO_CONTENT
    assert len(machine.instances()) == 1


async def test_unknown_hosts_and_switched_off_sites_are_nobody(machine):
    wakes = Wakes(machine.orchestrator)
    assert await wakes.wait("nobody.localhost", 1) is HTTPStatus.NOT_FOUND
    desired = await deployed(machine)
    await machine.put(replace(desired, generation=2, power=Power.OFF))
    await machine.settle(10)
    assert await wakes.wait(HOST, 1) is HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("asleep", [frozen, stopped])
async def test_a_deploy_wakes_it_and_begins_the_idle_clock_anew(machine, asleep):
    desired = await asleep(machine)
    await machine.put(replace(desired, generation=2, release=release(2)))
    await machine.settle(55)
    state = await machine.orchestrator.actual(CHANNEL_ID)
    assert (state.sleep, state.applied, machine.routed()) == ("awake", 2, 1)
    assert {held.spec.release_id for held in machine.world.held.values()} == {"release2"}
    await machine.settle(10)
    assert await stage(machine) == "frozen"


@pytest.mark.parametrize("asleep", [frozen, stopped])
async def test_a_restart_a_variable_and_another_scale_wake_it(machine, asleep):
    desired = await asleep(machine)
    changes = ({"restart": 1}, {"env": (("A", "b"),)}, {"scale": (ProcessScale("web", 3),)})
    for generation, change in enumerate(changes, start=2):
        desired = replace(desired, generation=generation, **change)
        await machine.put(desired)
        await machine.settle(20)
        state = await machine.orchestrator.actual(CHANNEL_ID)
        assert (state.sleep, state.applied) == ("awake", generation)
        await machine.settle(700, step=1.0)
        assert await stage(machine) == "stopped"


async def test_another_sleep_policy_does_not_wake_it_but_never_does(machine):
    desired = await frozen(machine)
    await machine.put(replace(desired, generation=2, sleep=SleepPolicy(60, 1200)))
    await machine.settle(5)
    state = await machine.orchestrator.actual(CHANNEL_ID)
    assert (state.sleep, state.applied) == ("frozen", 2)
    await machine.put(replace(desired, generation=3, sleep=ALWAYS_ON))
    await machine.settle(5)
    state = await machine.orchestrator.actual(CHANNEL_ID)
    assert (state.sleep, state.applied, machine.routed()) == ("awake", 3, 1)


@pytest.mark.parametrize("asleep", [deployed, frozen, stopped])
async def test_switching_it_off_works_at_every_stage(machine, asleep):
    desired = await asleep(machine)
    await machine.put(replace(desired, generation=2, power=Power.OFF))
    await machine.settle(10)
    state = await machine.orchestrator.actual(CHANNEL_ID)
    assert (state.applied, machine.world.held) == (2, {})
    assert machine.routes.table[CHANNEL_ID].presence is Presence.STOPPED
    await machine.put(replace(desired, generation=3))
    await machine.settle(5)
    assert machine.routed() == 1


async def test_a_frozen_one_that_is_killed_is_told_and_the_next_visitor_starts_another(machine):
    await frozen(machine)
    machine.engine.exhaust_memory(machine.instances()[0])
    await machine.settle(3)
    assert machine.world.held == {}
    assert await stage(machine) == "stopped"
    assert "ended while it was asleep (killed: used 256 MB of 256 MB)" in texts(machine, EventKind.INSTANCE_OUT_OF_MEMORY)[0]
    assert await visit(machine) is HTTPStatus.NO_CONTENT
    assert machine.routed() == 1


async def test_workers_sleep_with_the_web_and_a_channel_of_workers_never_does(machine):
    both = release(1, ProcessSpec("web", "serve", release(1).blueprint.processes[0].listen), ProcessSpec("worker", "work"))
    await machine.put(replace(channel(1, both), sleep=POLICY))
    await machine.settle(66)
    assert {held.frozen for held in machine.world.held.values()} == {True}
    assert len(machine.world.held) == 2
    await machine.put(replace(channel(2, release(2, ProcessSpec("worker", "work"))), sleep=POLICY))
    await machine.settle(700, step=1.0)
    assert (await stage(machine), len(machine.instances("worker"))) == ("awake", 1)


async def test_a_static_site_never_sleeps(machine):
    await machine.put(replace(channel(1, release(1, static_root="")), sleep=POLICY))
    await machine.settle(700, step=1.0)
    assert await stage(machine) == "awake"


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


async def test_a_person_may_wake_it(machine):
    await stopped(machine)
    await machine.orchestrator.rouse(CHANNEL_ID, "somebody who asked for it")
    await machine.settle(2)
    assert await stage(machine) == "awake"
    assert texts(machine, EventKind.WOKE)[0].endswith("for somebody who asked for it.")


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
