"""What the SSH door has a node open, in the real sandbox: commands with their errors apart, boxes, files, ports."""

import asyncio
import contextlib
import shutil
from dataclasses import replace

import pytest

from sitewright.bus.memory import MemoryBus, MemoryHub
from sitewright.bus.messages import ExecOpen
from sitewright.bus.streams import StreamLostError, far_end
from sitewright.bus.subjects import DOOR, door_session
from sitewright.domain.desired import DesiredChannel
from sitewright.domain.events import EventKind
from sitewright.domain.identity import new_id
from sitewright.domain.processes import HealthCheck, Listen, ProcessScale, ProcessSpec
from sitewright.domain.release import Blueprint, Release
from sitewright.domain.states import Mode, Power
from sitewright.errors import ConflictError, InvalidValueError, QuotaError
from sitewright.orchestrator.streams import MOST_SESSIONS, ExecSessions
from sitewright.testing.node_lab import node_lab

WEB = ProcessSpec("web", "exec python3 -S app.py", Listen.FD, HealthCheck(startup_seconds=20))
BACKWARDS = """
import socket
listener = socket.create_server(("127.0.0.1", 9000))
print("up", flush=True)
there, _ = listener.accept()
there.sendall(there.recv(9)[::-1])
"""


@pytest.fixture
async def node():
    async with node_lab() as lab:
        yield lab


def site(**changes):
    desired = DesiredChannel(
        new_id(),
        "guestbook",
        7,
        new_id(),
        "production",
        1,
        release=Release(new_id(), 1, "", Blueprint("python", "host", (WEB,), None)),
        scale=(ProcessScale("web", 1, stop_grace_seconds=1.0),),
        hosts=("guestbook.localhost",),
    )
    return replace(desired, **changes)


class Visitor:
    """Somebody who has come through the door."""

    def __init__(self, node):
        self.node, hub = node, MemoryHub()
        self.bus, self.sessions = MemoryBus(hub), ExecSessions(MemoryBus(hub), node.orchestrator)

    async def open(self, desired, *argv, **more):
        session = door_session(DOOR, new_id())
        far = await far_end(self.bus, self.node.settings.node, session)
        asked = {"metered": True, "session_user": "alice@example.org", **more}
        try:
            await self.sessions.open(ExecOpen(session=session, channel_id=desired.channel_id, argv=argv, **asked))
        except BaseException:
            await far.close()
            raise
        return far

    async def run(self, desired, *argv, given=b"", **more):
        """Output, errors, exit code."""
        far = await self.open(desired, *argv, **more)
        async with asyncio.timeout(30):
            await far.write(given)
            await far.close_input()
            output, errors = await asyncio.gather(all_of(far.read), all_of(far.read_error))
            code = await far.wait()
        await far.close()
        return output, errors, code


async def line(far):
    said = b""
    async with asyncio.timeout(20):
        while not said.endswith(b"\n"):
            said += await far.read()
    return said


async def all_of(read):
    said = b""
    while piece := await read():
        said += piece
    return said


def told(node):
    return [(event.kind, event.who) for event in node.orchestrator.tools.events.oldest() if event.who]


async def test_a_command_beside_the_web_process_has_its_errors_apart(node):
    desired = site()
    await node.orchestrator.put(desired)
    await node.reaches(desired, "awake")
    alice = Visitor(node)
    run = await alice.run(desired, "sh", "-c", "cat; echo $TERM; echo no Bob >&2; exit 3", given=b"Alice\n", env=(("TERM", "vt100"),))
    assert run == (b"Alice\nvt100\n", b"no Bob\n", 3)
    assert told(node)[0] == (EventKind.EXEC_OPENED, "alice@example.org")


async def test_where_nothing_runs_it_gets_a_box_if_it_wants_one(node):
    desired = site(power=Power.OFF)
    await node.orchestrator.put(desired)
    alice = Visitor(node)
    with pytest.raises(ConflictError, match="No “web” process"):
        await alice.run(desired, "true")
    assert await alice.run(desired, "test", "-f", "app.py", or_box=True) == (b"", b"", 0)


async def test_files_are_a_live_channels_and_copied_without_variables_or_network(node):
    desired = site(mode=Mode.LIVE, env=(("SECRET", "fish"),))
    await node.orchestrator.put(desired)
    alice = Visitor(node)
    script = "pwd; echo hello > page.html; echo [$SECRET]; id -u; ls /sys/class/net; test -w /data"
    output, _, code = await alice.run(desired, "/bin/sh", "-c", script, files=True)
    assert (code, output.split()[:2]) == (0, [b"/app", b"[]"])
    assert b"veth" not in output
    assert b"eth0" not in output
    page = node.settings.paths.live_folder(desired.site_id, desired.channel) / "page.html"
    assert page.read_text() == "hello\n"
    with pytest.raises(ConflictError, match="rsink is not installed"):
        await alice.run(desired, "/usr/bin/rsink", files=True)
    released = site()
    await node.orchestrator.put(released)
    with pytest.raises(ConflictError, match="runs releases"):
        await alice.run(released, "/bin/true", files=True)


async def test_sftp_is_spoken_by_the_distributions_own_server(node):
    assert shutil.which("/usr/lib/openssh/sftp-server"), "apt-get install openssh-sftp-server"
    desired = site(mode=Mode.LIVE)
    await node.orchestrator.put(desired)
    hello = b"\x00\x00\x00\x05\x01\x00\x00\x00\x03"
    far = await Visitor(node).open(desired, "/usr/lib/openssh/sftp-server", files=True)
    await far.write(hello)
    assert (await asyncio.wait_for(far.read(), 20))[4:9] == b"\x02\x00\x00\x00\x03"
    await far.close_input()
    assert await asyncio.wait_for(far.wait(), 20) == 0
    await far.close()


async def test_a_port_of_the_site_answers_and_another_is_refused(node):
    desired = site()
    await node.orchestrator.put(desired)
    await node.reaches(desired, "awake")
    alice = Visitor(node)
    output, _, _ = await alice.run(desired, port=8000, given=b"GET / HTTP/1.0\r\n\r\n")
    assert output.startswith(b"HTTP/1.")
    with pytest.raises(ConflictError, match="Nothing listens on port 9"):
        await alice.run(desired, port=9)
    server = await alice.open(desired, "python3", "-S", "-c", BACKWARDS)
    assert await line(server) == b"up\n"
    assert (await alice.run(desired, port=9000, given=b"ecilA"))[0] == b"Alice"
    await server.close()


async def test_who_leaves_ends_what_they_began(node):
    desired = site()
    await node.orchestrator.put(desired)
    await node.reaches(desired, "awake")
    alice = Visitor(node)
    far = await alice.open(desired, "sh", "-c", "echo up; sleep 600")
    assert await line(far) == b"up\n"
    await far.close()
    async with asyncio.timeout(20):
        while len(alice.sessions):
            await asyncio.sleep(0.02)
    assert [kind for kind, _ in told(node)] == [EventKind.EXEC_OPENED, EventKind.EXEC_CLOSED]


async def test_a_node_that_ends_says_so_to_whoever_is_connected(node):
    desired = site()
    await node.orchestrator.put(desired)
    await node.reaches(desired, "awake")
    alice = Visitor(node)
    far = await alice.open(desired, "sh", "-c", "echo up; sleep 600")
    assert await line(far) == b"up\n"
    await alice.sessions.close()
    with contextlib.suppress(StreamLostError):
        assert await asyncio.wait_for(far.wait(), 20) != 0
    await far.close()


async def test_there_are_only_so_many_and_no_session_of_somebody_else(node):
    desired = site(power=Power.OFF)
    await node.orchestrator.put(desired)
    alice = Visitor(node)
    for session in ("x", "node1.abcdefghijk2", "door.>", "door.x"):
        with pytest.raises(InvalidValueError):
            await alice.sessions.open(ExecOpen(session=session, channel_id=desired.channel_id, argv=("true",)))
    live = site(mode=Mode.LIVE)
    await node.orchestrator.put(live)
    held = [await alice.open(live, "/bin/cat", files=True) for _ in range(MOST_SESSIONS)]
    with pytest.raises(QuotaError):
        await alice.open(live, "/bin/cat", files=True)
    for far in held:
        await far.close()
