"""Cron processes on a machine that is all memory, with the real planner and loop."""

import contextlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sitewright.domain.events import EventKind
from sitewright.domain.processes import Listen, ProcessScale, ProcessSpec, Schedule
from sitewright.domain.sleep import SleepPolicy
from sitewright.domain.states import Power
from sitewright.orchestrator import steps
from sitewright.orchestrator.cron import LONGEST_RUN_SECONDS, MOST_AT_ONCE
from sitewright.testing.orchestra import CHANNEL_ID, Machine, channel, release

TICK = "cron-tick"
NOON = datetime(2027, 1, 4, 12, 0, 30, tzinfo=UTC).timestamp()


def with_cron(number, expression="* * * * *", **options):
    tick = ProcessSpec(TICK, "tick", schedule=Schedule(expression, **options))
    return release(number, ProcessSpec("web", "serve", Listen.FD), tick)


@pytest.fixture
async def machine(tmp_path):
    machine = Machine(tmp_path)
    machine.clock.advance(NOON - machine.clock.now())
    await machine.boot()
    yield machine
    await machine.kill()


async def deployed(machine, **options):
    desired = channel(1, with_cron(1, **options))
    await machine.put(desired)
    await machine.settle(3)
    assert machine.routed() == 1
    return desired


def told(machine, kind):
    return [event.text for event in machine.orchestrator.tools.events.oldest() if event.kind is kind]


def end(machine, code=0):
    for instance in machine.instances(TICK):
        machine.engine.crash(instance, code)


async def cron(machine):
    (state,) = (await machine.orchestrator.actual(CHANNEL_ID)).crons
    return state


async def test_a_run_starts_when_it_is_due_and_is_gone_when_it_has_ended(machine):
    await deployed(machine)
    assert (await cron(machine)).next_at == NOON + 30
    await machine.settle(40)
    assert len(machine.instances(TICK)) == 1
    assert (await cron(machine)).running == 1
    end(machine)
    await machine.settle(2)
    state = await cron(machine)
    assert (state.running, state.last_result, state.next_at) == (0, "ended well", NOON + 90)
    assert told(machine, EventKind.CRON_FINISHED)
    assert not [h for h in machine.world.held.values() if h.spec.process == TICK]
    assert (await machine.orchestrator.actual(CHANNEL_ID)).applied == 1


async def test_a_run_that_fails_is_told_with_its_last_lines_and_is_no_crash(machine):
    await deployed(machine)
    await machine.settle(40)
    machine.engine.say(machine.instances(TICK)[0], b"No such table: guests\n")
    end(machine, 3)
    await machine.settle(2)
    (text,) = told(machine, EventKind.CRON_FAILED)
    assert "exited with code 3" in text
    assert "No such table: guests" in text
    assert not told(machine, EventKind.INSTANCE_CRASHED)
    await machine.settle(60)
    assert len(machine.instances(TICK)) == 1, "and the next one comes at its time"


async def test_a_run_that_is_due_while_the_one_before_goes_on_is_left_out_and_told_once(machine):
    await deployed(machine)
    await machine.settle(200)
    assert len(machine.instances(TICK)) == 1
    (text,) = told(machine, EventKind.CRON_SKIPPED)
    assert "the run before still goes on" in text
    end(machine)
    await machine.settle(2)
    assert "Meanwhile 2 more were due and left out" in told(machine, EventKind.CRON_FINISHED)[0]


async def test_runs_overlap_where_that_was_asked_for(machine):
    await deployed(machine, overlap=True)
    await machine.settle(100)
    assert len(machine.instances(TICK)) == 2
    assert not told(machine, EventKind.CRON_SKIPPED)


async def test_ten_runs_of_a_site_go_on_at_most(machine):
    crons = [ProcessSpec(f"cron-{n}", "tick", schedule=Schedule("* * * * *", overlap=True)) for n in range(4)]
    await machine.put(channel(1, release(1, ProcessSpec("web", "serve", Listen.FD), *crons)))
    await machine.settle(300, step=5)
    assert sum(len(machine.instances(f"cron-{n}")) for n in range(4)) == MOST_AT_ONCE
    assert any("10 runs of this site go on" in text for text in told(machine, EventKind.CRON_SKIPPED))


async def test_what_was_due_while_nobody_looked_is_told_and_not_made_up_for(machine):
    await deployed(machine, expression="*/10 * * * *")
    await machine.kill()
    machine.clock.advance(1900)
    await machine.boot()
    await machine.settle(3)
    (text,) = told(machine, EventKind.CRON_MISSED)
    assert "missed 3 runs" in text
    assert "2027-01-04 12:10 UTC" in text
    assert not machine.instances(TICK)


async def test_a_restarted_node_goes_on_with_the_run_that_is_under_way(machine):
    await deployed(machine)
    await machine.settle(40)
    before = machine.instances(TICK)
    await machine.kill()
    await machine.boot()
    await machine.settle(15)
    assert machine.instances(TICK) == before
    end(machine)
    await machine.settle(2)
    assert (await cron(machine)).last_result == "ended well"


async def test_a_run_that_was_noted_but_never_began_is_told_and_not_begun_again(machine):
    await deployed(machine)

    class KilledError(BaseException):
        pass

    def die(*_):
        raise KilledError

    machine.engine.start = die
    with pytest.raises(KilledError):
        await machine.settle(40)
    await machine.kill()
    await machine.boot()
    await machine.settle(15)
    assert not machine.instances(TICK)
    (text,) = told(machine, EventKind.CRON_FAILED)
    assert "was lost when the platform or the machine went down" in text


async def test_switched_off_nothing_is_due_and_nothing_counts_as_missed(machine):
    desired = await deployed(machine)
    await machine.settle(40)
    await machine.put(replace(desired, generation=2, power=Power.OFF))
    await machine.settle(300, step=5)
    assert not machine.instances(TICK)
    await machine.put(replace(desired, generation=3))
    await machine.settle(50)
    assert len(machine.instances(TICK)) == 1
    assert not told(machine, EventKind.CRON_MISSED)


async def test_a_cron_run_does_not_wake_the_web_processes(machine):
    desired = await deployed(machine, expression="0 * * * *")
    await machine.put(replace(desired, generation=2, sleep=SleepPolicy(0, 60)))
    await machine.settle(600, step=5)
    assert not machine.instances("web")
    while not machine.instances(TICK):
        await machine.turn(30)
    assert not machine.instances("web")
    end(machine)
    await machine.settle(5)
    assert not machine.instances("web")
    assert not machine.instances(TICK)
    assert (await cron(machine)).last_result == "ended well"


async def test_a_new_schedule_begins_when_it_is_deployed(machine):
    desired = await deployed(machine, expression="0 3 * * *")
    await machine.put(replace(desired, generation=2, release=with_cron(2, "0 6 * * *")))
    await machine.settle(60)
    assert not told(machine, EventKind.CRON_MISSED)
    assert (await cron(machine)).next_at == datetime(2027, 1, 5, 6, tzinfo=UTC).timestamp()


async def test_a_release_that_is_not_ready_leaves_the_schedule_of_the_one_before(machine):
    desired = await deployed(machine)
    machine.deaf.add("release2")
    await machine.put(replace(desired, generation=2, release=with_cron(2, "0 6 * * *")))
    await machine.settle(60)
    assert [machine.world.held[i].spec.release_id for i in machine.instances(TICK)] == ["release1"]


async def test_a_process_that_is_gone_from_the_release_is_forgotten_when_its_run_has_ended(machine):
    desired = await deployed(machine)
    await machine.settle(40)
    await machine.put(replace(desired, generation=2, release=release(2)))
    await machine.settle(60)
    assert (await cron(machine)).running == 1
    end(machine)
    await machine.settle(5)
    assert (await machine.orchestrator.actual(CHANNEL_ID)).crons == ()
    assert not machine.orchestrator.tools.memories.of(CHANNEL_ID).crons


async def test_a_run_may_last_a_day(machine):
    await deployed(machine)
    await machine.settle(40)
    await machine.settle(LONGEST_RUN_SECONDS - 600, step=600)
    assert len(machine.instances(TICK)) == 1
    await machine.settle(700, step=5)
    assert any("ran as long as a run may" in text for text in told(machine, EventKind.CRON_FAILED))


async def test_one_that_is_scaled_to_nothing_does_not_run(machine):
    desired = await deployed(machine)
    await machine.put(replace(desired, generation=2, scale=(ProcessScale(TICK, 0),)))
    await machine.settle(120)
    assert not machine.instances(TICK)


async def test_a_removed_site_takes_its_runs_with_it(machine):
    desired = await deployed(machine)
    await machine.settle(40)
    await machine.put(replace(desired, generation=2, removed=True))
    await machine.settle(10)
    assert not machine.world.held


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.sampled_from([1.0, 20.0, 59.0, 61.0, 700.0])),
        st.tuples(st.just("jump"), st.sampled_from([-7200.0, -30.0, 90.0, 4000.0])),
        st.tuples(st.just("end"), st.sampled_from([0, 1])),
        st.tuples(st.just("kill"), st.one_of(st.integers(0, 3), st.sampled_from(["before", "after"]))),
    ),
    max_size=14,
)


class CutOffError(BaseException):
    """The node dies between two steps."""


class Witness:
    """Writes down for which due times a run was really started, and cuts the node off where it is told to."""

    def __init__(self, machine):
        self.machine = machine
        self.begun = []
        self.pending = 0.0
        self.steps_left = None
        self.cut_start = ""

    async def boot(self):
        self.steps_left, self.cut_start = None, ""
        await self.machine.boot()
        self.machine.on_step = self.see
        self.start, self.machine.engine.start = self.machine.engine.start, self.started

    def see(self, step):
        if self.steps_left is not None:
            self.steps_left -= 1
            if self.steps_left < 0:
                raise CutOffError
        if isinstance(step, steps.StartRun):
            self.pending = step.look.due

    async def started(self, spec):
        if spec.process == TICK and self.cut_start == "before":
            raise CutOffError
        await self.start(spec)
        if spec.process == TICK:
            self.begun.append(self.pending)
            if self.cut_start == "after":
                raise CutOffError

    async def die(self, where, seconds):
        if isinstance(where, int):
            self.steps_left = where
        else:
            self.cut_start = where
        with contextlib.suppress(CutOffError):
            await self.machine.turn(seconds)
        await self.machine.kill()
        await self.boot()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(moves=MOVES, overlap=st.booleans())
async def test_no_due_time_is_run_twice_whatever_happens(tmp_path_factory, moves, overlap):
    machine = Machine(tmp_path_factory.mktemp("cron"))
    witness = Witness(machine)
    await witness.boot()
    await machine.put(channel(1, with_cron(1, overlap=overlap)))
    await machine.settle(3)
    for what, value in moves:
        if what == "pass":
            await machine.settle(value, step=max(value / 10, 1.0))
        elif what == "jump":
            machine.clock.jump(value)
            await machine.settle(2)
        elif what == "end":
            end(machine, value)
            await machine.settle(1)
        else:
            await witness.die(value, 61)
            await machine.settle(2)
        if not overlap:
            assert len(machine.instances(TICK)) <= 1
    assert len(witness.begun) == len(set(witness.begun)), "the same due time was run twice"
    await machine.kill()
