"""In the real sandbox: a cron process, a command of somebody's own, and a release on trial."""

import asyncio
import base64
import time
from collections import Counter
from dataclasses import replace

import pytest

from sitewright.bus.memory import MemoryBus, MemoryHub
from sitewright.bus.messages import ExecOpen, StreamChunk
from sitewright.bus.subjects import stream_in, stream_out
from sitewright.domain.desired import Canary, CanaryState, DesiredChannel
from sitewright.domain.events import EventKind
from sitewright.domain.identity import new_id
from sitewright.domain.processes import HealthCheck, Listen, ProcessScale, ProcessSpec, Schedule
from sitewright.domain.release import Blueprint, Release
from sitewright.domain.route import SLOTS
from sitewright.domain.states import Power
from sitewright.domain.traffic import HostTraffic, SlotTraffic
from sitewright.errors import QuotaError
from sitewright.orchestrator.canary import NOT_COUNTED_SECONDS
from sitewright.orchestrator.one_off import MOST_BOXES
from sitewright.orchestrator.streams import ExecSessions
from sitewright.orchestrator.visits import HANDED_OVER_SECONDS
from sitewright.testing.engine_lab import until
from sitewright.testing.node_lab import node_lab

WEB = ProcessSpec("web", "exec python3 -S app.py", Listen.FD, HealthCheck(startup_seconds=20))
TICK = "cron-tick"


@pytest.fixture
async def node():
    async with node_lab() as lab:
        yield lab


def release(number, *more, **env):
    return Release(new_id(), number, "", Blueprint("python", "host", (WEB, *more), None, env=tuple(env.items())))


def site(*more, **changes):
    desired = DesiredChannel(
        new_id(),
        "guestbook",
        7,
        new_id(),
        "production",
        1,
        release=release(1, *more),
        scale=(ProcessScale("web", 1, stop_grace_seconds=1.0),),
        hosts=("guestbook.localhost",),
    )
    return replace(desired, **changes)


def texts(node, kind):
    return [event.text for event in node.orchestrator.tools.events.oldest() if event.kind is kind]


def of(node, desired, process):
    return [item for item in node.orchestrator.observed(desired.channel_id) if item.spec.process == process]


async def eventually(condition, what, seconds=30.0):
    async def met():
        return condition()

    await until(met, what, seconds)


# --- cron ---
async def due_just_now(node, desired):
    """The schedule looks at the clock as if the minute that has begun had not been looked at yet."""
    crons = node.orchestrator.tools.memories.of(desired.channel_id).crons
    await eventually(lambda: TICK in crons, "the schedule is known")
    begun = time.time() // 60 * 60
    crons[TICK] = replace(crons[TICK], handled=begun - 1, next_at=begun)
    node.orchestrator.wake(desired.channel_id)


async def test_a_cron_process_runs_survives_the_node_and_tells_how_it_failed(node):
    command = "echo begun >> /data/runs; while ! test -e /data/go; do sleep 0.1; done; echo No such table; exit 3"
    desired = site(ProcessSpec(TICK, command, schedule=Schedule("* * * * *")))
    await node.orchestrator.put(desired)
    await node.reaches(desired, "awake")
    await due_just_now(node, desired)
    data = node.settings.paths.data(desired.site_id, desired.channel)
    await eventually((data / "runs").exists, "the run has begun")
    run = of(node, desired, TICK)[0].spec.id
    await node.restart()
    await asyncio.sleep(0)
    assert [item.spec.id for item in of(node, desired, TICK)][:1] == [run]
    (data / "go").touch()
    await eventually(lambda: texts(node, EventKind.CRON_FAILED), "the failure is told")
    (text,) = texts(node, EventKind.CRON_FAILED)
    assert "exited with code 3" in text
    assert "No such table" in text
    assert not texts(node, EventKind.INSTANCE_CRASHED)
    (state,) = (await node.orchestrator.actual(desired.channel_id)).crons
    assert state.last_result == "exited with code 3"


# --- a command of somebody's own ---
class Terminal:
    """Somebody at the other end of the bus."""

    def __init__(self, node):
        hub = MemoryHub()
        self.bus, self.name, self.session = MemoryBus(hub), node.settings.node, new_id()
        self.sessions = ExecSessions(MemoryBus(hub), node.orchestrator)
        self.said, self.code = b"", None

    async def run(self, desired, *argv):
        async def hear(_, chunk):
            if chunk.kind == "data":
                self.said += base64.b64decode(chunk.data)
            elif chunk.kind == "exit":
                self.code = chunk.code

        await self.bus.subscribe(stream_out(self.name, self.session), StreamChunk, hear)
        await self.sessions.open(ExecOpen(session=self.session, channel_id=desired.channel_id, argv=argv, one_off=True))

    async def type(self, text):
        data = base64.b64encode(text).decode()
        await self.bus.publish(stream_in(self.name, self.session), StreamChunk(kind="data", data=data))


async def test_a_command_runs_in_a_box_of_its_own_while_the_site_is_off(node):
    desired = site(env=(("WORD", "fish"),), power=Power.OFF)
    await node.orchestrator.put(desired)
    terminal = Terminal(node)
    await terminal.run(desired, "sh", "-c", "test -f app.py && echo $WORD; read line; echo got $line >> /data/got; exit 7")
    await eventually(lambda: terminal.said == b"fish\n", "it has the files and the variables")
    assert len(of(node, desired, "run")) == 1
    await terminal.type(b"three\n")
    await eventually(lambda: terminal.code is not None, "it has ended")
    assert terminal.code == 7
    assert (node.settings.paths.data(desired.site_id, desired.channel) / "got").read_text() == "got three\n"
    await eventually(lambda: not node.orchestrator.observed(desired.channel_id), "the box is gone")


async def test_a_box_that_nobody_attends_any_more_is_ended(node):
    desired = site(power=Power.OFF)
    await node.orchestrator.put(desired)
    terminals = [Terminal(node) for _ in range(MOST_BOXES)]
    for terminal in terminals:
        await terminal.run(desired, "sleep", "1000")
    with pytest.raises(QuotaError):
        await Terminal(node).run(desired, "true")
    assert len(of(node, desired, "run")) == MOST_BOXES
    await node.restart()
    await eventually(lambda: not node.orchestrator.observed(desired.channel_id), "nothing is left of them")


# --- a release on trial ---
def leads_to(node, desired):
    """How many slots lead to which release."""
    folder = node.settings.paths.routes / desired.hosts[0]
    of_socket = {item.spec.socket: item.spec.release_id for item in node.orchestrator.observed(desired.channel_id)}
    return Counter(of_socket.get((folder / str(slot)).readlink()) for slot in range(SLOTS))


async def canary(node, desired):
    return (await node.orchestrator.actual(desired.channel_id)).canary


async def test_a_release_on_trial_serves_its_slots_and_goes_when_it_answers_with_errors(node):
    desired = site()
    await node.orchestrator.put(desired)
    await node.reaches(desired, "awake")
    young = release(2)
    desired = replace(desired, generation=2, canary=Canary(young, 3))
    await node.orchestrator.put(desired)
    await node.reaches(desired, "awake")
    assert leads_to(node, desired) == {desired.release.id: 13, young.id: 3}
    assert b"200 OK" in await node.visit(desired)
    began = time.monotonic()
    await eventually(lambda: time.monotonic() - began > max(HANDED_OVER_SECONDS, NOT_COUNTED_SECONDS), "the slots have settled")
    seen = (SlotTraffic(0, 300, 1), SlotTraffic(15, 60, 30))
    node.orchestrator.note_traffic([HostTraffic(desired.hosts[0], time.time(), 360, slots=seen)])
    await eventually(lambda: leads_to(node, desired) == {desired.release.id: 16}, "it is out")
    assert (await canary(node, desired)).state is CanaryState.ABORTED
    await eventually(lambda: len(of(node, desired, "web")) == 1, "its copy is gone")


async def test_a_release_on_trial_that_crashes_says_why_and_serves_nobody(node):
    desired = site()
    await node.orchestrator.put(desired)
    await node.reaches(desired, "awake")
    desired = replace(desired, generation=2, canary=Canary(release(2, BROKEN="1"), 3))
    await node.orchestrator.put(desired)
    await eventually(lambda: texts(node, EventKind.CANARY_ABORTED), "it was taken out")
    assert leads_to(node, desired) == {desired.release.id: 16}
    reason = (await canary(node, desired)).reason
    assert "crashed 3 times in a row" in reason
    assert "KeyError: 'DATABASE'" in reason
