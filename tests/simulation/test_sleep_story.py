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
from sitewright.orchestrator.wake import BROWSER_SECONDS, CLIENT_SECONDS, Wakes
from sitewright.testing.orchestra import CHANNEL_ID, Machine, channel, release
from sitewright.testing.sleepers import HOST, POLICY, deployed, frozen, kinds, stage, stopped, texts, visit, visited


@pytest.fixture
async def machine(tmp_path):
    machine = Machine(tmp_path)
    await machine.boot()
    yield machine
    await machine.kill()


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


async def test_a_person_may_wake_it(machine):
    await stopped(machine)
    await machine.orchestrator.rouse(CHANNEL_ID, "somebody who asked for it")
    await machine.settle(2)
    assert await stage(machine) == "awake"
    assert texts(machine, EventKind.WOKE)[0].endswith("for somebody who asked for it.")


async def test_one_that_gets_visitors_before_it_has_answered_and_never_does_is_started_again(machine):
    await machine.kill()

    async def as_engines_look(instance, _host):
        return instance.ready_since is not None or instance.release_id not in machine.deaf

    machine._answers = as_engines_look
    await machine.boot()
    await stopped(machine)
    machine.deaf.add(machine.orchestrator.store.get(CHANNEL_ID).release.id)
    assert await Wakes(machine.orchestrator).wait(HOST, CLIENT_SECONDS) is HTTPStatus.NO_CONTENT
    (hanging,) = machine.instances()
    for _ in range(200):
        visited(machine)
        await machine.turn(1.0)
    assert hanging not in machine.instances()
    assert EventKind.INSTANCE_UNHEALTHY in kinds(machine)


async def test_one_that_answers_late_is_let_be(machine):
    await machine.kill()

    async def as_engines_look(instance, _host):
        return instance.ready_since is not None or instance.release_id not in machine.deaf

    machine._answers = as_engines_look
    await machine.boot()
    await stopped(machine)
    machine.deaf.add(machine.orchestrator.store.get(CHANNEL_ID).release.id)
    assert await Wakes(machine.orchestrator).wait(HOST, CLIENT_SECONDS) is HTTPStatus.NO_CONTENT
    present = machine.instances()
    for second in range(200):
        if second == 50:
            machine.deaf.clear()
        visited(machine)
        await machine.turn(1.0)
    assert machine.instances() == present
    assert EventKind.INSTANCE_UNHEALTHY not in kinds(machine)


async def test_the_first_copy_gets_the_visitor_and_the_others_are_started_after_it(machine):
    await stopped(machine, count=5)
    waiting = asyncio.create_task(Wakes(machine.orchestrator).wait(HOST, CLIENT_SECONDS))
    for _ in range(50):
        await asyncio.sleep(0)
    assert await waiting is HTTPStatus.NO_CONTENT
    assert len(machine.instances()) == 1
    await machine.settle(3)
    assert (len(machine.instances()), machine.routed()) == (5, 5)
