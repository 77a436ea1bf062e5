"""Slots, rollouts and releases on trial on a machine that is all memory, with the real planner and loop."""

from collections import Counter
from dataclasses import replace

import pytest

from sitewright.domain.desired import Canary, CanaryState, Strategy
from sitewright.domain.events import EventKind
from sitewright.domain.processes import Listen, ProcessScale, ProcessSpec
from sitewright.domain.route import Affinity
from sitewright.domain.states import Mode
from sitewright.domain.traffic import HostTraffic, SlotTraffic
from sitewright.engines.base import Exit, JobResult
from sitewright.orchestrator.model import OUT_SECONDS
from sitewright.testing.orchestra import CHANNEL_ID, Machine, channel, release, scaled

HOST = "guestbook.localhost"


@pytest.fixture
async def machine(tmp_path):
    machine = Machine(tmp_path)
    await machine.boot()
    yield machine
    await machine.kill()


async def actual(machine):
    return await machine.orchestrator.actual(CHANNEL_ID)


async def deployed(machine, count=1, **changes):
    desired = replace(channel(1, release(1), ProcessScale("web", count)), **changes)
    await machine.put(desired)
    await machine.settle(5)
    assert machine.routed() == count
    return desired


def holders(machine):
    """Who answers in each slot: an instance's id."""
    of = {held.spec.socket: instance for instance, held in machine.world.held.items()}
    return [of[socket] for socket in machine.routes.table[CHANNEL_ID].sockets]


def releases(machine):
    return Counter(machine.world.held[i].spec.release_id for i in holders(machine))


def told(machine, kind):
    return [event.text for event in machine.orchestrator.tools.events.oldest() if event.kind is kind]


def visit(machine, *slots):
    machine.orchestrator.note_traffic([HostTraffic(HOST, machine.clock.now(), sum(s.requests for s in slots), slots=tuple(slots))])


# --- slots ---
async def test_sixteen_slots_are_dealt_and_a_restart_moves_none(machine):
    await deployed(machine, 3, affinity=Affinity.COOKIE)
    before = holders(machine)
    assert sorted(Counter(before).values()) == [5, 5, 6]
    assert machine.routes.table[CHANNEL_ID].affinity is Affinity.COOKIE
    await machine.kill()
    await machine.boot()
    await machine.settle(5)
    assert holders(machine) == before


async def test_scaling_moves_few_slots(machine):
    desired = await deployed(machine, 3)
    before = holders(machine)
    await machine.put(scaled(desired, 4))
    await machine.settle(5)
    assert sum(1 for a, b in zip(before, holders(machine), strict=True) if a != b) == 4


async def test_a_new_release_takes_over_slot_by_slot_from_the_copy_it_replaces(machine):
    desired = await deployed(machine, 3)
    old = holders(machine)
    await machine.put(replace(desired, generation=2, release=release(2)))
    await machine.settle(150)
    new = holders(machine)
    assert len({*zip(old, new, strict=True)}) == 3, "all slots of one went to one other"
    assert releases(machine) == {"release2": 16}


async def test_who_refuses_connections_is_out_for_half_a_minute(machine):
    await deployed(machine, 2)
    await machine.settle(5)
    bad = holders(machine)[0]
    visit(machine, SlotTraffic(0, 1, refused=1))
    await machine.turn()
    assert bad not in holders(machine)
    await machine.settle(OUT_SECONDS - 2)
    assert bad not in holders(machine)
    await machine.settle(4)
    assert Counter(holders(machine))[bad] == 8


async def test_who_refused_is_looked_at_at_once_and_replaced_when_it_is_dead(machine):
    await deployed(machine, 2)
    await machine.settle(5)
    bad = holders(machine)[0]
    machine.engine.silence(bad)
    visit(machine, SlotTraffic(0, 1, refused=1))
    await machine.settle(15)
    assert bad not in machine.instances(), "three looks, five seconds apart, and not three of thirty seconds"
    assert machine.routed() == 2


async def test_the_only_one_is_never_out(machine):
    await deployed(machine)
    await machine.settle(5)
    visit(machine, SlotTraffic(0, 1, refused=1))
    await machine.turn()
    assert machine.routed() == 1


async def test_a_refusal_from_before_a_slot_changed_hands_is_held_against_nobody(machine):
    desired = await deployed(machine)
    await machine.put(replace(desired, generation=2, release=release(2)))
    while releases(machine) != {"release2": 16}:
        await machine.turn(0.1)
    visit(machine, SlotTraffic(0, 1, refused=1))
    memory = machine.orchestrator.tools.memories.of(CHANNEL_ID)
    assert not any(own.out_until for own in memory.instances.values())


# --- rollouts ---
@pytest.mark.parametrize("surge", [0, 1, 2])
async def test_no_more_room_is_taken_than_is_allowed(machine, surge):
    desired = await deployed(machine, 4, max_surge=surge)
    await machine.put(replace(desired, generation=2, release=release(2)))
    for _ in range(400):
        await machine.turn(0.5)
        assert len(machine.instances()) <= 4 + surge
        assert machine.routed() >= (4 if surge else 3)
    assert releases(machine) == {"release2": 16}
    assert len(machine.instances()) == 4


async def test_blue_green_changes_over_at_once_when_the_last_is_ready(machine):
    desired = await deployed(machine, 3, strategy=Strategy.BLUE_GREEN)
    machine.deaf.add("release2")
    await machine.put(replace(desired, generation=2, release=release(2)))
    await machine.settle(10)
    assert len(machine.instances()) == 6
    assert releases(machine) == {"release1": 16}
    machine.deaf.clear()
    seen = []
    for _ in range(30):
        await machine.turn(0.1)
        seen.append(frozenset(releases(machine)))
    assert dict.fromkeys(seen) == {frozenset({"release1"}): None, frozenset({"release2"}): None}
    await machine.settle(40)
    assert len(machine.instances()) == 3
    assert (await actual(machine)).applied == 2


async def test_blue_green_leaves_the_old_ones_when_one_of_the_new_ones_is_never_ready(machine):
    desired = await deployed(machine, 2, strategy=Strategy.BLUE_GREEN)
    await machine.put(replace(desired, generation=2, release=release(2)))
    for _ in range(100):
        await machine.turn(0.1)
        young = [i for i in machine.instances() if machine.world.held[i].spec.release_id == "release2"]
        if len(young) == 2:
            machine.engine.crash(max(young, key=lambda i: machine.world.held[i].started_at))
        assert releases(machine) == {"release1": 16}
    assert (await actual(machine)).applied == 1


@pytest.mark.parametrize("change", [{"env": (("A", "1"),)}, {"restart": 1}])
async def test_an_environment_or_restart_that_does_not_come_up_leaves_what_runs_and_says_why(machine, change):
    desired = await deployed(machine, 2)
    before = set(machine.instances())
    await machine.put(replace(desired, generation=2, **change))
    for _ in range(60):
        await machine.turn(0.2)
        for instance in set(machine.instances()) - before:
            machine.engine.say(instance, b"KeyError: 'A'\n")
            machine.engine.crash(instance)
        assert machine.routed() == 2
    state = await actual(machine)
    assert before <= set(machine.instances())
    assert "KeyError: 'A'" in state.problem


# --- a release on trial ---
async def tried(machine, count=2, slots=2, new=None):
    desired = await deployed(machine, count)
    desired = replace(desired, generation=2, canary=Canary(new or release(2), slots))
    await machine.put(desired)
    return desired


async def test_a_release_on_trial_gets_exactly_its_slots(machine):
    desired = await tried(machine, slots=3)
    await machine.settle(5)
    assert releases(machine) == {"release1": 13, "release2": 3}
    state = await actual(machine)
    assert (state.applied, state.canary.state, state.canary.slots) == (2, CanaryState.SERVING, 3)
    assert told(machine, EventKind.CANARY_STARTED) == [], "the one who asked for it tells of its beginning"
    before = holders(machine)
    await machine.put(scaled(desired, 4))
    await machine.settle(5)
    assert [a for a, b in zip(before, holders(machine), strict=True) if a == b][-3:] == before[-3:], "always the same slots"


async def test_many_copies_are_tried_with_their_share_of_copies(machine):
    await tried(machine, count=8, slots=4)
    await machine.settle(5)
    assert len(machine.instances()) == 8 + 2


async def test_promotion_keeps_the_copies_on_trial(machine):
    desired = await tried(machine)
    await machine.settle(5)
    young = {i for i in machine.instances() if machine.world.held[i].spec.release_id == "release2"}
    await machine.put(replace(desired, generation=3, release=release(2), canary=None))
    for _ in range(200):
        await machine.turn(0.5)
        assert machine.routed() >= 2
    assert young <= set(machine.instances())
    assert releases(machine) == {"release2": 16}
    assert len(machine.instances()) == 2
    state = await actual(machine)
    assert (state.applied, state.canary) == (3, None)


async def test_an_abort_by_hand_takes_it_out_at_once(machine):
    desired = await tried(machine)
    await machine.settle(5)
    await machine.put(replace(desired, generation=3, canary=None))
    await machine.turn()
    assert releases(machine) == {"release1": 16}
    await machine.settle(40)
    assert len(machine.instances()) == 2
    assert (await actual(machine)).applied == 3


async def test_one_that_answers_with_errors_goes_by_itself_and_stays_out(machine):
    desired = await tried(machine)
    await machine.settle(5)
    visit(machine, SlotTraffic(0, 500, 1), SlotTraffic(15, 60, 30))
    await machine.settle(1)
    assert releases(machine) == {"release1": 16}
    state = (await actual(machine)).canary
    assert (state.state, state.requests, state.errors, state.old_requests) == (CanaryState.ABORTED, 60, 30, 500)
    assert "30 of its 60 answers were errors" in state.reason
    assert "was taken out of its trial" in told(machine, EventKind.CANARY_ABORTED)[0]
    await machine.kill()
    await machine.boot()
    await machine.put(replace(desired, generation=3, env=(("A", "1"),)))
    await machine.settle(150)
    assert releases(machine) == {"release1": 16}
    assert len(told(machine, EventKind.CANARY_ABORTED)) == 1
    assert len(machine.instances()) == 2
    await machine.put(replace(desired, generation=4, canary=Canary(release(3), 2)))
    await machine.settle(100)
    assert releases(machine)["release3"] == 2, "another release may be tried"


async def test_one_that_crashes_is_taken_out_with_its_last_words(machine):
    await tried(machine)
    for _ in range(40):
        await machine.turn(0.2)
        for instance in machine.instances():
            if machine.world.held[instance].spec.release_id == "release2":
                machine.engine.say(instance, b"ModuleNotFoundError: flask\n")
                machine.engine.crash(instance)
        assert releases(machine) == {"release1": 16}
    state = await actual(machine)
    assert (state.canary.state, state.applied, state.problem) == (CanaryState.ABORTED, 2, "")
    assert "crashed 3 times in a row" in state.canary.reason
    assert "ModuleNotFoundError: flask" in state.canary.reason
    assert len(machine.instances()) == 2


async def test_one_that_is_never_ready_is_taken_out(machine):
    machine.deaf.add("release2")
    await tried(machine)
    await machine.settle(70)
    state = (await actual(machine)).canary
    assert state.state is CanaryState.ABORTED
    assert "did not answer within 60 s" in state.reason
    assert len(machine.instances()) == 2


async def test_one_without_files_is_taken_out(machine):
    machine.no_trees.add("release2")
    await tried(machine)
    await machine.settle(5)
    state = (await actual(machine)).canary
    assert (state.state, state.reason) == (CanaryState.ABORTED, "The droplet is gone.")


WEB = ProcessSpec("web", "serve", Listen.FD)
MIGRATE = ProcessSpec("release", "migrate")


async def test_one_that_serves_alone_stays_until_somebody_else_is_ready(machine):
    desired = await tried(machine)
    await machine.settle(5)
    machine.deaf.add("release1")
    for instance in machine.instances():
        if machine.world.held[instance].spec.release_id == "release1":
            machine.engine.crash(instance)
    await machine.settle(3)
    assert releases(machine) == {"release2": 16}
    await machine.put(replace(desired, generation=3, canary=None))
    await machine.settle(10)
    assert releases(machine) == {"release2": 16}, "it is not wanted, but visitors have nobody else"
    machine.deaf.clear()
    for _ in range(400):
        await machine.turn(0.5)
        assert machine.routed() >= 1
    assert releases(machine) == {"release1": 16}
    assert len(machine.instances()) == 2


async def test_its_release_command_runs_once_before_it_and_not_again_when_it_is_promoted(machine):
    jobs = []

    def run(job):
        jobs.append(job.box.command)
        return JobResult(Exit(0), 1.0)

    machine.engine.jobs = run
    desired = await deployed(machine, release=release(1, WEB, MIGRATE))
    new = release(2, WEB, ProcessSpec("release", "migrate more"))
    desired = replace(desired, generation=2, canary=Canary(new, 2))
    await machine.put(desired)
    await machine.settle(5)
    assert releases(machine) == {"release1": 14, "release2": 2}
    await machine.put(replace(desired, generation=3, release=new, canary=None))
    await machine.settle(60)
    assert (await actual(machine)).applied == 3
    assert jobs == ["migrate", "migrate more"]
    await machine.put(replace(desired, generation=4, release=new, canary=Canary(release(3, WEB, MIGRATE), 2)))
    await machine.settle(10)
    assert jobs == ["migrate", "migrate more", "migrate"]


async def test_files_that_were_missing_once_are_held_against_no_other_release(machine):
    machine.no_trees.add("release2")
    desired = await tried(machine)
    await machine.settle(5)
    await machine.put(replace(desired, generation=3, canary=Canary(release(3), 2)))
    await machine.settle(40)
    assert releases(machine) == {"release1": 14, "release3": 2}


async def test_a_folder_that_is_served_live_has_no_releases_to_try(machine):
    desired = await deployed(machine, mode=Mode.LIVE)
    await machine.put(replace(desired, generation=2, canary=Canary(release(2), 2)))
    await machine.settle(3)
    assert "no releases that could be tried" in (await actual(machine)).canary.reason


async def test_one_whose_release_command_fails_is_taken_out(machine):
    await deployed(machine)
    machine.engine.jobs = lambda _: JobResult(Exit(2), 1.0)
    desired = replace(channel(2, release(1), ProcessScale("web", 1)), canary=Canary(release(2, WEB, MIGRATE), 2))
    await machine.put(desired)
    await machine.settle(5)
    assert "The release command failed: it exited with code 2" in (await actual(machine)).canary.reason
    assert machine.routed() == 1


async def test_new_variables_reach_both_and_the_trial_goes_on(machine):
    desired = await tried(machine)
    await machine.settle(5)
    await machine.put(replace(desired, generation=3, env=(("COLOUR", "red"),)))
    for _ in range(300):
        await machine.turn(0.5)
        assert releases(machine) == {"release1": 14, "release2": 2}
    assert all(("COLOUR", "red") in machine.world.held[i].spec.box.env for i in holders(machine))
    assert len(machine.instances()) == 3


async def test_a_page_without_a_program_cannot_be_tried(machine):
    await tried(machine, new=release(2, static_root=""))
    await machine.settle(3)
    assert "only a release with a web process" in (await actual(machine)).canary.reason.lower()


async def test_a_killed_node_goes_on_with_the_trial_and_its_figures(machine):
    await tried(machine)
    await machine.settle(5)
    before = holders(machine)
    visit(machine, SlotTraffic(0, 100, 0), SlotTraffic(15, 10, 0))
    await machine.settle(1)
    await machine.kill()
    await machine.boot()
    await machine.settle(5)
    assert holders(machine) == before
    state = (await actual(machine)).canary
    assert (state.state, state.requests, state.old_requests) == (CanaryState.SERVING, 10, 100)
