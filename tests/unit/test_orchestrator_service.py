"""A node on the bus: what it answers, what it tells, and what happens when nobody listens."""

import asyncio
import base64
from dataclasses import replace

import pytest

from sitewright.bus.memory import MemoryBus, MemoryHub
from sitewright.bus.messages import (
    METHODS,
    Ack,
    BuildStatus,
    ChannelQuery,
    DesiredDigest,
    DesiredPut,
    EventBatch,
    ExecOpen,
    Heartbeat,
    Hello,
    LogQuery,
    Nothing,
    StreamChunk,
)
from sitewright.bus.subjects import node_topic, rpc, stream_in, stream_out
from sitewright.domain.events import EventKind
from sitewright.domain.identity import new_id
from sitewright.domain.states import BuildState
from sitewright.errors import ConflictError, NotFoundError
from sitewright.orchestrator.files import LiveFiles
from sitewright.orchestrator.heartbeat import Reporter, machine_memory
from sitewright.orchestrator.service import NodeService, serve
from sitewright.orchestrator.streams import ExecSessions
from sitewright.testing.orchestra import CHANNEL_ID, Machine, channel, release

NODE = "node1"


class Builds:
    """One build whose log the test writes."""

    def __init__(self, path):
        self.path = path
        self.state = BuildState.RUNNING

    async def status(self, build_id):
        return BuildStatus(build_id=build_id, state=self.state)

    def log_path(self, build_id):
        return self.path


class Node:
    """A node's service and a manager, on one in-memory bus."""

    def __init__(self, machine, tmp_path):
        hub = MemoryHub()
        self.machine = machine
        self.bus, self.manager = MemoryBus(hub), MemoryBus(hub)
        self.sessions = ExecSessions(self.bus, machine.orchestrator)
        self.reporter = Reporter(self.bus, machine.orchestrator, machine.orchestrator.tools.events, "memory")
        self.files = LiveFiles(machine.settings)
        self.builds = Builds(tmp_path / "build.log")
        self.service = NodeService(machine.orchestrator, self.reporter, self.sessions, self.files, self.builds)

    async def ask(self, method, message):
        return await self.manager.request(rpc(NODE, method), message, METHODS[method][1])

    async def run_a_site(self):
        await self.ask("desired.put", DesiredPut(channel=channel(1, release(1))))
        await self.machine.settle(3)


@pytest.fixture
async def node(tmp_path):
    machine = Machine(tmp_path)
    await machine.boot()
    node = Node(machine, tmp_path)
    await serve(node.bus, NODE, node.service.handlers())
    yield node
    await node.sessions.close()
    await machine.kill()
    node.files.close()


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_it_answers_every_method_but_those_of_builder_and_repositories(node):
    own = {method for method in METHODS if not method.startswith(("build.", "cache.", "git."))}
    assert set(node.service.handlers()) == own


async def test_what_is_put_runs_and_its_state_can_be_asked_for(node):
    await node.run_a_site()
    (state,) = (await node.ask("channel.state", ChannelQuery(channel_id=CHANNEL_ID))).channels
    assert (state.generation, state.applied, [i.state for i in state.instances]) == (1, 1, ["ready"])
    stats = await node.ask("stats", Nothing())
    assert (stats.instances, stats.channels) == (1, 1)
    with pytest.raises(NotFoundError):
        await node.ask("channel.state", ChannelQuery(channel_id="unknown22222"))


async def test_a_comparison_says_what_lacks_and_asks_for_a_full_report(node):
    await node.run_a_site()
    answer = await node.ask("desired.compare", DesiredDigest(generations={CHANNEL_ID: 2, "another22222": 1}))
    assert (answer.wanted, answer.excess) == ((CHANNEL_ID, "another22222"), ())


async def test_a_removed_channel_that_the_manager_has_forgotten_is_forgotten_too(node):
    await node.run_a_site()
    await node.ask("desired.put", DesiredPut(channel=replace(channel(2, None), removed=True)))
    async with asyncio.timeout(20):
        while (await node.machine.orchestrator.actual(CHANNEL_ID)).applied < 2:
            await node.machine.turn(0.1)
    assert (await node.ask("desired.compare", DesiredDigest(generations={}))).excess == ()
    assert node.machine.orchestrator.store.get(CHANNEL_ID) is None


async def test_output_of_processes_and_builds_is_read_the_same_way(node):
    await node.run_a_site()
    node.machine.engine.say(node.machine.instances()[0], b"Hello\n")
    page = await node.ask("log.read", LogQuery(channel_id=CHANNEL_ID))
    assert [(line.source, line.text) for line in page.lines] == [("web.1", "Hello")]

    node.builds.path.write_text("1000.500 Found app.py\n1001.000 half a li")
    page = await node.ask("log.read", LogQuery(build_id="abc"))
    assert [(line.at, line.text) for line in page.lines] == [(1000.5, "Found app.py")]
    assert not page.ended
    with node.builds.path.open("a") as file:
        file.write("ne\n")
    node.builds.state = BuildState.SUCCEEDED
    page = await node.ask("log.read", LogQuery(build_id="abc", cursor=page.cursor))
    assert [line.text for line in page.lines] == ["half a line"]
    page = await node.ask("log.read", LogQuery(build_id="abc", cursor=page.cursor))
    assert (page.lines, page.ended) == ((), True)


async def test_a_command_runs_beside_an_instance_with_input_and_output(node):
    await node.run_a_site()
    session, heard = new_id(), []

    async def hear(_, chunk):
        heard.append(chunk)

    await node.manager.subscribe(stream_out(NODE, session), StreamChunk, hear)
    await node.ask("exec.open", ExecOpen(session=session, channel_id=CHANNEL_ID, argv=("cat",)))
    await node.manager.publish(stream_in(NODE, session), StreamChunk(kind="data", data=base64.b64encode(b"Hello").decode()))
    await node.manager.publish(stream_in(NODE, session), StreamChunk(kind="eof"))
    await until(lambda: heard and heard[-1].kind == "exit")
    assert b"Hello" in b"".join(base64.b64decode(c.data) for c in heard)
    assert [c.sequence for c in heard] == list(range(1, len(heard) + 1))
    await until(lambda: len(node.sessions) == 0)
    kinds = [event.kind for event in node.machine.orchestrator.tools.events.oldest()]
    assert EventKind.EXEC_OPENED in kinds


async def test_a_command_beside_nothing_says_what_to_do(node):
    with pytest.raises(ConflictError, match="Start the site first"):
        await node.ask("exec.open", ExecOpen(session=new_id(), channel_id=CHANNEL_ID, argv=("ls",)))


async def test_it_says_hello_tells_changes_at_once_and_keeps_events_until_they_are_acknowledged(node):
    hellos, beats, events = [], [], []

    async def greet(hello):
        hellos.append(hello)
        return Ack()

    async def note(_, beat):
        beats.append(beat)

    async def refuse(batch):
        events.append(batch.events)
        return Ack(problem="not now") if len(events) == 1 else Ack()

    running = asyncio.create_task(node.reporter.run())
    await node.run_a_site()
    await node.manager.subscribe(node_topic("*", "heartbeat"), Heartbeat, note)
    await node.manager.serve(node_topic("*", "hello"), Hello, greet)
    await node.manager.serve(node_topic("*", "events"), EventBatch, refuse)
    node.reporter.want_full()
    await until(lambda: hellos and beats and beats[-1].full)
    (state,) = beats[-1].channels
    assert (hellos[0].node, state.applied) == (NODE, 1)
    await until(lambda: len(events) >= 1)
    node.machine.engine.crash(node.machine.instances()[0])
    await node.machine.settle(3)
    await until(lambda: any(not b.full and b.channels and b.channels[0].instances[0].restarts for b in beats))
    await until(lambda: len(node.machine.orchestrator.tools.events) == 0)
    assert events[0][0] in events[1]
    assert [b.sequence for b in beats] == sorted(b.sequence for b in beats)
    running.cancel()


def test_the_machines_memory_is_read_from_the_kernels_table(tmp_path):
    table = tmp_path / "meminfo"
    table.write_text("MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  400 kB\n")
    assert machine_memory(table) == (1000 * 1024, 600 * 1024)
