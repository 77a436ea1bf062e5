"""Commands that somebody runs by hand, on a machine that is all memory."""

import asyncio
from dataclasses import replace

import pytest

from sitewright.bus.memory import MemoryBus, MemoryHub
from sitewright.bus.messages import Ack, ExecOpen, StreamChunk
from sitewright.bus.subjects import stream_in
from sitewright.domain.events import EventKind
from sitewright.domain.identity import new_id
from sitewright.domain.limits import MIB, Limits
from sitewright.domain.processes import ProcessScale
from sitewright.domain.sleep import SleepPolicy
from sitewright.errors import ConflictError, EngineError, NotFoundError, QuotaError
from sitewright.orchestrator.one_off import MOST_BOXES
from sitewright.orchestrator.streams import MOST_SESSIONS, ExecSessions
from sitewright.testing.orchestra import CHANNEL_ID, Machine, channel, release


@pytest.fixture
async def machine(tmp_path):
    machine = Machine(tmp_path)
    await machine.boot()
    yield machine
    await machine.kill()


class Somebody:
    """At the other end of the bus."""

    def __init__(self, machine):
        hub = MemoryHub()
        self.bus, self.machine, self.session = MemoryBus(hub), machine, new_id()
        self.sessions = ExecSessions(MemoryBus(hub), machine.orchestrator)

    async def run(self, *argv):
        await self.sessions.open(ExecOpen(session=self.session, channel_id=CHANNEL_ID, argv=argv, one_off=True))

    async def leave(self):
        await self.bus.publish(stream_in(self.machine.settings.node, self.session), StreamChunk(kind="eof"))
        while len(self.sessions):
            await self.machine.turn(0.1)
        await self.machine.settle(3)


async def asleep(machine):
    desired = replace(
        channel(1, release(1), ProcessScale("web", 1, Limits(memory_bytes=99 * MIB))), sleep=SleepPolicy(stop_after_seconds=60)
    )
    await machine.put(desired)
    await machine.settle(100)
    assert not machine.instances("web")
    return desired


async def test_it_runs_while_the_site_sleeps_wakes_nobody_and_is_gone_afterwards(machine):
    await asleep(machine)
    somebody = Somebody(machine)
    await somebody.run("python", "manage.py", "migrate")
    await machine.settle(30)
    (box,) = machine.instances("run")
    assert machine.world.held[box].spec.box.limits.memory_bytes == 99 * MIB, "it may use what a web process may"
    assert not machine.instances("web")
    await somebody.leave()
    assert not machine.world.held
    texts = [event.text for event in machine.orchestrator.tools.events.oldest() if event.kind is EventKind.EXEC_OPENED]
    assert texts == ["A command was run by itself: python."]


async def test_it_outlives_a_deploy_and_counts_for_nothing(machine):
    desired = await asleep(machine)
    somebody = Somebody(machine)
    await somebody.run("sh")
    await machine.put(replace(desired, generation=2, release=release(2)))
    await machine.settle(20)
    assert len(machine.instances("run")) == 1
    assert (await machine.orchestrator.actual(CHANNEL_ID)).applied == 2
    await somebody.leave()
    assert not machine.instances("run")


async def test_one_whose_other_end_is_gone_is_ended(machine):
    await asleep(machine)
    await Somebody(machine).run("sh")
    await machine.kill()
    await machine.boot()
    await machine.settle(5)
    assert not machine.world.held


async def test_one_that_cannot_begin_leaves_no_box(machine):
    await asleep(machine)

    async def refuse(*_, **__):
        raise EngineError("There is no such program.")

    machine.engine.exec = refuse
    with pytest.raises(EngineError):
        await Somebody(machine).run("nonsense")
    await machine.settle(5)
    assert not machine.world.held


async def test_it_ends_with_a_site_that_is_deleted(machine):
    desired = await asleep(machine)
    await Somebody(machine).run("sh")
    await machine.put(replace(desired, generation=2, removed=True))
    await machine.settle(20)
    assert not machine.world.held


async def test_without_a_release_there_is_nothing_to_run(machine):
    await machine.put(channel(1, None))
    await machine.settle(3)
    with pytest.raises(ConflictError):
        await Somebody(machine).run("sh")


async def test_of_an_unknown_site_nothing_is_run(machine):
    with pytest.raises(NotFoundError):
        await Somebody(machine).run("sh")


async def test_many_at_once_on_a_sleeping_site_are_no_more_than_the_most(machine):
    await asleep(machine)
    somebody = Somebody(machine)
    asked = [
        asyncio.create_task(somebody.sessions.open(ExecOpen(session=new_id(), channel_id=CHANNEL_ID, argv=("sh",)))) for _ in range(40)
    ]
    await machine.settle(30)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert len(somebody.sessions) == MOST_SESSIONS
    assert {type(answer) for answer in answers} == {Ack, QuotaError}


async def test_boxes_that_could_not_be_made_take_nobodys_place(machine):
    await asleep(machine)
    somebody, launch = Somebody(machine), machine.orchestrator.applier.launch

    async def full(*_):
        raise OSError("No space left on device")

    machine.orchestrator.applier.launch = full
    for _ in range(MOST_BOXES):
        with pytest.raises(OSError, match="No space"):
            await somebody.run("sh")
    machine.orchestrator.applier.launch = launch
    await somebody.run("sh")
    assert len(machine.instances("run")) == 1


async def test_a_commands_name_forges_no_line_and_steers_no_screen(machine):
    await asleep(machine)
    await Somebody(machine).run("\x1b]0;x\x07\nRelease 9 is live.\u202e")
    (text,) = [event.text for event in machine.orchestrator.tools.events.oldest() if event.kind is EventKind.EXEC_OPENED]
    assert text == "A command was run by itself: �]0;x��Release 9 is live.�."
