"""Streams of bytes, over NATS and over its in-memory twin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from sitewright.bus.base import Bus
from sitewright.bus.memory import MemoryBus, MemoryHub
from sitewright.bus.messages import StreamChunk
from sitewright.bus.streams import WINDOW_BYTES, ByteStream, Pace, StreamLostError, far_end, near_end
from sitewright.bus.subjects import DOOR, door_session, is_session, stream_out
from sitewright.domain.identity import new_id
from sitewright.testing.nats_server import running_nats

NODE = "node1"
QUICK = Pace(ping=0.02, silence=0.3)


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@dataclass
class Wire:
    door: Bus
    node: Bus
    spy: Bus


@pytest.fixture(params=["nats", "memory"])
async def wire(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Wire]:
    if request.param == "memory":
        hub = MemoryHub()
        made = [MemoryBus(hub) for _ in range(3)]
        yield Wire(*made)
        for bus in made:
            await bus.close()
        return
    with running_nats(tmp_path) as server:
        buses = [server.bus(DOOR), server.bus(NODE), server.bus(NODE)]
        await until(lambda: all(bus.connected for bus in buses))
        yield Wire(*buses)
        for real in buses:
            await real.close()


@dataclass
class Ends:
    far: ByteStream
    near: ByteStream
    session: str


@pytest.fixture
async def ends(wire: Wire) -> AsyncIterator[Ends]:
    session = door_session(DOOR, new_id())
    far, near = await far_end(wire.door, NODE, session), await near_end(wire.node, NODE, session)
    yield Ends(far, near, session)
    await far.close()
    await near.close()


async def everything(end: ByteStream) -> bytes:
    async with asyncio.timeout(20):
        return b"".join([piece async for piece in end])


async def test_bytes_come_out_as_they_went_in_and_the_end_is_told(ends: Ends) -> None:
    data = bytes(range(256)) * 4096 * 12

    async def send() -> None:
        await ends.far.write(data)
        await ends.far.close_input()

    sending = asyncio.create_task(send())
    assert await everything(ends.near) == data
    await sending


async def test_output_errors_and_the_exit_code_are_three_things(ends: Ends) -> None:
    await ends.near.write(b"Hello Alice\n")
    await ends.near.write_error(b"no such Bob\n")
    await ends.near.exit(3)
    await ends.near.close()
    assert await everything(ends.far) == b"Hello Alice\n"
    assert await ends.far.read_error() == b"no such Bob\n"
    assert await ends.far.read_error() == b""
    assert await ends.far.wait() == 3


async def test_a_writer_waits_while_nobody_reads(ends: Ends) -> None:
    writing = asyncio.create_task(ends.far.write(b"x" * (WINDOW_BYTES + 1024 * 1024)))
    async with asyncio.timeout(10):
        got = await ends.near.read()
    done, _ = await asyncio.wait({writing}, timeout=0.3)
    assert not done
    async with asyncio.timeout(10):
        while len(got) < WINDOW_BYTES:
            got += await ends.near.read()
    await asyncio.wait_for(writing, 10)


async def test_who_writes_to_something_that_has_ended_does_not_wait(ends: Ends) -> None:
    writing = asyncio.create_task(ends.far.write(b"x" * WINDOW_BYTES * 3))
    await ends.near.exit(1)
    await asyncio.wait_for(writing, 10)
    assert await ends.far.wait() == 1


async def test_the_size_of_a_terminal_and_a_kill_are_told(ends: Ends) -> None:
    sizes: list[tuple[int, int]] = []
    kills: list[bool] = []
    ends.near.resized = lambda rows, columns: sizes.append((rows, columns))
    ends.near.killed = lambda: kills.append(True)
    await ends.far.resize(50, 132)
    await ends.far.kill()
    await until(lambda: bool(kills))
    assert sizes == [(50, 132)]
    with pytest.raises(StreamLostError):
        await ends.near.read()


async def test_a_far_end_that_leaves_early_has_the_near_end_stopped(ends: Ends) -> None:
    kills: list[bool] = []
    ends.near.killed = lambda: kills.append(True)
    await ends.far.close()
    await until(lambda: kills == [True])


async def test_a_lost_message_ends_the_stream_instead_of_changing_it(wire: Wire, ends: Ends) -> None:
    await ends.near.write(b"first")
    assert await ends.far.read() == b"first"
    await wire.node.publish(stream_out(NODE, ends.session), StreamChunk(kind="data", data="AAAA", sequence=3))
    with pytest.raises(StreamLostError, match="got lost"):
        await asyncio.wait_for(ends.far.read(), 10)
    with pytest.raises(StreamLostError):
        await ends.far.wait()


async def test_who_sends_more_than_it_may_is_cut_off(wire: Wire, ends: Ends) -> None:
    piece = "A" * 1024 * 1024
    for number in range(1, 8):
        await wire.node.publish(stream_out(NODE, ends.session), StreamChunk(kind="data", data=piece, sequence=number))
    with pytest.raises(StreamLostError, match="more than it may"):
        await asyncio.wait_for(ends.far.wait(), 10)


async def test_silence_is_death(wire: Wire) -> None:
    session = door_session(DOOR, new_id())
    far = await far_end(wire.door, NODE, session, pace=QUICK)
    with pytest.raises(StreamLostError, match="silent"):
        await asyncio.wait_for(far.wait(), 10)
    await far.close()


async def test_two_ends_that_ping_each_other_live_on(wire: Wire) -> None:
    session = door_session(DOOR, new_id())
    far, near = await far_end(wire.door, NODE, session, pace=QUICK), await near_end(wire.node, NODE, session, pace=QUICK)
    waiting = asyncio.create_task(far.wait())
    done, _ = await asyncio.wait({waiting}, timeout=3 * QUICK.silence)
    assert not done
    await near.exit(0)
    assert await asyncio.wait_for(waiting, 10) == 0
    await far.close()
    await near.close()


async def test_a_door_hears_its_own_sessions_only(tmp_path: Path) -> None:
    with running_nats(tmp_path) as server:
        door, node, manager = server.bus(DOOR), server.bus(NODE), server.bus()
        await until(lambda: door.connected and node.connected and manager.connected)
        heard: list[str] = []

        async def listen(subject: str, chunk: StreamChunk) -> None:
            heard.append(subject)

        for pattern in ("stream.>", "stream.*.*.out", "stream.*.*.*.out", f"stream.*.{DOOR}.*.out"):
            await door.subscribe(pattern, StreamChunk, listen)
        await node.publish(stream_out(NODE, new_id()), StreamChunk(kind="data", data="c2VjcmV0"))
        own = door_session(DOOR, new_id())
        await node.publish(stream_out(NODE, own), StreamChunk(kind="data", data=""))
        await until(lambda: bool(heard))
        assert set(heard) == {stream_out(NODE, own)}
        for bus in (door, node, manager):
            await bus.close()


@pytest.mark.parametrize(
    ("session", "good"),
    [("abcdefghijk2", True), ("door.abcdefghijk2", True), ("node1.abcdefghijk2", False), ("door.", False), ("*", False), ("door.>", False)],
)
def test_a_session_has_a_form(session: str, *, good: bool) -> None:
    assert is_session(session) is good
