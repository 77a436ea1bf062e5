"""Stories of one channel on a machine that is all memory, with the real planner and loop."""

import itertools
from dataclasses import replace

import pytest

from sitewright.domain.backoff import FREE_RESTARTS
from sitewright.domain.events import EventKind
from sitewright.domain.processes import Listen, ProcessScale, ProcessSpec
from sitewright.domain.route import Presence
from sitewright.domain.states import Power
from sitewright.engines.base import Exit, JobResult
from sitewright.testing.orchestra import CHANNEL_ID, SITE_ID, Machine, channel, release, scaled


@pytest.fixture
async def machine(tmp_path):
    machine = Machine(tmp_path)
    await machine.boot()
    yield machine
    await machine.kill()


async def actual(machine):
    return await machine.orchestrator.actual(CHANNEL_ID)


async def deployed(machine, count=1):
    desired = channel(1, release(1), ProcessScale("web", count))
    await machine.put(desired)
    await machine.settle(3)
    assert machine.routed() == count
    return desired


async def test_a_release_is_started_routed_and_reported_as_applied(machine):
    await deployed(machine)
    state = await actual(machine)
    assert (state.applied, state.problem, [i.state for i in state.instances]) == (1, "", ["ready"])
    assert machine.routes.table[CHANNEL_ID].presence is Presence.RUNNING


async def test_a_new_release_replaces_the_old_one_without_a_moment_of_nobody(machine):
    desired = await deployed(machine, 3)
    before = set(machine.instances())
    await machine.put(replace(desired, generation=2, release=release(2)))
    for _ in range(240):
        await machine.turn(0.5)
        assert machine.routed() >= 3
        assert len(machine.instances()) <= 3 + 1, "never more than one beyond what is wanted, those that drain included"
    assert len(machine.instances()) == 3
    assert not before & set(machine.instances())
    assert (await actual(machine)).applied == 2


async def test_a_release_that_never_answers_leaves_the_old_one_serving_and_says_why(machine):
    desired = await deployed(machine)
    old = machine.instances()
    machine.deaf.add("release2")
    await machine.put(replace(desired, generation=2, release=release(2)))
    for _ in range(300):
        await machine.turn(0.5)
        assert machine.routed() == 1
    state = await actual(machine)
    assert state.applied == 1
    assert "did not answer within 60 s" in state.problem
    assert set(old) <= set(machine.instances())
    kinds = [event.kind for event in machine.orchestrator.tools.events.oldest()]
    assert EventKind.DEPLOY_FAILED not in kinds, "whoever asked for the release tells that it failed"


async def test_a_release_that_crashes_at_its_start_leaves_the_old_one_and_shows_its_last_words(machine):
    desired = await deployed(machine)
    old = machine.instances()[0]
    await machine.put(replace(desired, generation=2, release=release(2)))
    for _ in range(40):
        await machine.turn(0.1)
        for instance in machine.instances():
            if instance != old:
                machine.engine.say(instance, b"ModuleNotFoundError: No module named 'flask'\n")
                machine.engine.crash(instance)
    state = await actual(machine)
    assert f"crashed {FREE_RESTARTS + 1} times in a row; the last time it exited with code 1" in state.problem
    assert "No module named 'flask'" in state.problem
    assert machine.routed() == 1
    assert old in machine.instances()


async def test_going_back_to_the_release_before_keeps_its_running_copy(machine):
    desired = await deployed(machine)
    old = machine.instances()
    machine.deaf.add("release2")
    await machine.put(replace(desired, generation=2, release=release(2)))
    await machine.settle(10)
    await machine.put(replace(desired, generation=3))
    await machine.settle(10)
    state = await actual(machine)
    assert (machine.instances(), state.applied, state.problem) == (old, 3, "")


async def test_a_crashed_copy_is_started_again_three_times_at_once_and_then_with_patience(machine):
    await deployed(machine)
    starts = []
    for _ in range(400):
        for instance in machine.instances():
            starts.append((machine.clock.now(), instance))
            machine.engine.crash(instance)
        await machine.turn(0.5)
    times = [at for at, _ in starts]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert max(gaps[:FREE_RESTARTS]) < 2
    assert gaps[FREE_RESTARTS] >= 29
    assert gaps[FREE_RESTARTS + 1] >= 59


async def test_switching_it_off_and_on_forgives_crashes_too(machine):
    desired = await deployed(machine)
    for _ in range(40):
        for instance in machine.instances():
            machine.engine.crash(instance)
        await machine.turn(0.5)
    await machine.put(replace(desired, generation=2, power=Power.OFF))
    await machine.settle(3)
    await machine.put(replace(desired, generation=3))
    await machine.settle(3)
    assert machine.routed() == 1
    assert (await actual(machine)).applied == 3


async def test_five_good_minutes_forgive_crashes(machine):
    await deployed(machine)
    for _ in range(3):
        machine.engine.crash(machine.instances()[0])
        await machine.settle(3)
    await machine.settle(310, step=1.0)
    machine.engine.crash(machine.instances()[0])
    await machine.settle(3)
    assert machine.routed() == 1


async def test_a_restarted_orchestrator_touches_nothing_that_runs(machine):
    await deployed(machine, 2)
    before, history = machine.instances(), len(machine.routes.history)
    await machine.kill()
    await machine.boot()
    assert all(len(set(route.sockets)) == 2 for route in machine.routes.history[history:])
    await machine.settle(10)
    assert machine.instances() == before
    assert not [call for call in machine.engine.calls if call[0] in ("start", "stop")]


async def test_without_its_memory_a_restarted_orchestrator_still_keeps_the_route(machine):
    await deployed(machine, 2)
    await machine.settle(10)
    before = machine.instances()
    await machine.kill()
    for path in machine.settings.paths.remembered.iterdir():
        path.write_text("damaged")
    await machine.boot()
    assert machine.routed() == 2
    await machine.settle(10)
    assert machine.instances() == before


async def test_an_unreadable_desired_file_destroys_nothing_and_is_asked_for_again(machine):
    desired = await deployed(machine)
    before = machine.instances()
    await machine.kill()
    (machine.settings.paths.desired / f"{CHANNEL_ID}.json").write_text("half of")
    await machine.boot()
    await machine.settle(30)
    assert machine.instances() == before
    assert machine.routed() == 1
    assert machine.orchestrator.store.compare({CHANNEL_ID: 1}) == ((CHANNEL_ID,), ())
    await machine.put(desired)
    await machine.settle(10)
    assert machine.instances() == before


async def test_power_off_empties_the_route_before_it_stops_anything_and_says_stopped(machine):
    desired = await deployed(machine, 2)
    await machine.put(replace(desired, generation=2, power=Power.OFF))
    await machine.turn()
    assert machine.routed() == 0
    await machine.settle(8)
    assert not machine.instances()
    assert machine.routes.table[CHANNEL_ID].presence is Presence.STOPPED
    assert (await actual(machine)).applied == 2
    await machine.put(replace(desired, generation=3))
    await machine.settle(5)
    assert machine.routed() == 2


async def test_a_static_release_is_only_a_route(machine):
    await machine.put(channel(1, release(1, static_root="site")))
    await machine.settle(2)
    route = machine.routes.table[CHANNEL_ID]
    assert route.public == machine.settings.paths.release(SITE_ID, "production", 1) / "site"
    assert (route.presence, machine.world.held) == (Presence.RUNNING, {})
    assert (await actual(machine)).applied == 1


async def test_static_stays_until_the_app_that_replaces_it_answers(machine):
    desired = channel(1, release(1, static_root=""))
    await machine.put(desired)
    await machine.settle(2)
    machine.deaf.add("release2")
    await machine.put(replace(desired, generation=2, release=release(2)))
    await machine.settle(5)
    assert machine.routes.table[CHANNEL_ID].public is not None
    machine.deaf.clear()
    await machine.settle(5)
    assert machine.routes.table[CHANNEL_ID].public is None
    assert machine.routed() == 1


async def test_the_release_command_runs_once_and_its_failure_keeps_the_old_release(machine):
    with_hook = release(2, ProcessSpec("web", "serve", Listen.FD), ProcessSpec("release", "migrate"))
    desired = await deployed(machine)
    outcome = Exit(1)
    machine.engine.jobs = lambda _: JobResult(outcome, 1.0)
    await machine.put(replace(desired, generation=2, release=with_hook))
    await machine.settle(20)
    state = await actual(machine)
    assert "The release command failed: it exited with code 1" in state.problem
    assert (machine.routed(), state.applied) == (1, 1)
    assert len([call for call in machine.engine.calls if call[0] == "run"]) == 1
    outcome = Exit(0)
    await machine.put(replace(desired, generation=3, release=with_hook))
    await machine.settle(20)
    await machine.put(replace(desired, generation=4, release=with_hook, env=(("COLOUR", "blue"),)))
    await machine.settle(20)
    state = await actual(machine)
    assert (state.applied, state.problem) == (4, "")
    assert len([call for call in machine.engine.calls if call[0] == "run"]) == 2


async def test_a_removed_channel_leaves_nothing_and_a_late_message_does_not_bring_it_back(machine):
    desired = await deployed(machine, 2)
    await machine.put(replace(desired, generation=5, removed=True))
    for _ in range(200):
        await machine.turn(0.1)
        if (await actual(machine)).applied == 5:
            break
    assert not machine.world.held
    assert not machine.routes.table
    assert not machine.settings.paths.site(SITE_ID).exists()
    await machine.put(desired)
    await machine.settle(10)
    assert not machine.world.held
    machine.orchestrator.forget_removed(frozenset())
    assert machine.orchestrator.store.get(CHANNEL_ID) is None


async def test_what_nobody_wants_goes_only_when_it_is_seen_twice(machine):
    await deployed(machine)
    machine.orchestrator.store.forget(CHANNEL_ID)
    await machine.turn(3)
    assert machine.instances()
    assert machine.routed() == 1
    await machine.settle(8, step=1.0)
    assert not machine.world.held
    assert not machine.routes.table


async def test_an_unhealthy_copy_is_replaced(machine):
    await deployed(machine)
    old = machine.instances()[0]
    machine.engine.silence(old)
    await machine.settle(90, step=1.0)
    assert old not in machine.instances()
    assert machine.routed() == 1
    assert EventKind.INSTANCE_UNHEALTHY in [event.kind for event in machine.orchestrator.tools.events.oldest()]


async def test_a_worker_counts_as_ready_when_it_has_lived_a_second(machine):
    processes = (ProcessSpec("web", "serve", Listen.FD), ProcessSpec("worker", "work"))
    await machine.put(channel(1, release(1, *processes), ProcessScale("worker", 2)))
    await machine.settle(5)
    assert len(machine.instances("worker")) == 2
    assert machine.routed() == 1
    assert (await actual(machine)).applied == 1


async def test_missing_files_are_fetched_and_a_failure_is_said(machine):
    machine.no_trees.add("release1")
    await machine.put(channel(1, release(1)))
    await machine.settle(5)
    assert (await actual(machine)).problem == "The droplet is gone."
    machine.no_trees.clear()
    await machine.settle(40)
    assert machine.routed() == 1
    assert (await actual(machine)).problem == ""


async def test_an_engine_that_refuses_is_asked_again_with_patience(machine):
    machine.engine.refuse.add("web")
    await machine.put(channel(1, release(1)))
    await machine.settle(30)
    assert len([call for call in machine.engine.calls if call[0] == "start"]) <= 6
    assert "could not be started" in (await actual(machine)).problem
    machine.engine.refuse.clear()
    await machine.settle(200, step=1.0)
    assert machine.routed() == 1


async def test_one_channel_in_trouble_does_not_stop_another(machine):
    other = replace(channel(1, release(1)), channel_id="bchanne22222", site_id="bsite2222222", hosts=("other.localhost",))
    real = machine.routes.set
    machine.routes.set = lambda route: real(route) if route.channel_id != CHANNEL_ID else 1 / 0
    await machine.put(channel(1, release(1)))
    await machine.put(other)
    await machine.settle(5)
    assert machine.routes.table["bchanne22222"].sockets
    assert "unexpected error" in (await actual(machine)).problem
    machine.routes.set = real
    await machine.settle(10)
    assert machine.routed() == 1


async def test_scaling_up_and_down_changes_only_the_difference(machine):
    desired = await deployed(machine, 2)
    before = set(machine.instances())
    desired = scaled(desired, 4)
    await machine.put(desired)
    await machine.settle(5)
    assert before < set(machine.instances())
    assert machine.routed() == 4
    await machine.put(scaled(desired, 2))
    await machine.settle(40)
    assert set(machine.instances()) == before
