"""One suite for the bus over NATS and for its in-memory twin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from sitewright.bus.base import Bus
from sitewright.bus.memory import MemoryBus, MemoryHub, matches
from sitewright.bus.messages import Ack, BuildQuery, ChannelQuery, Nothing
from sitewright.bus.subjects import node_topic, rpc, stream_in
from sitewright.errors import NotFoundError, UnavailableError
from sitewright.testing.nats_server import running_nats


@dataclass
class Wire:
    manager: Bus
    node: Bus
    cut: Callable[[], Awaitable[None]]
    mend: Callable[[], Awaitable[None]]


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture(params=["nats", "memory"])
async def wire(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Wire]:
    if request.param == "memory":
        hub = MemoryHub()
        manager, node = MemoryBus(hub), MemoryBus(hub)

        async def cut() -> None:
            hub.cut()

        yield Wire(manager, node, cut, hub.mend)
        await manager.close()
        await node.close()
        return
    with running_nats(tmp_path) as server:
        real_manager, real_node = server.bus(), server.bus("node1")
        await until(lambda: real_manager.connected and real_node.connected)

        async def kill() -> None:
            server.kill()
            await until(lambda: not real_manager.connected and not real_node.connected)

        async def restart() -> None:
            server.start()
            await until(lambda: real_manager.connected and real_node.connected)

        yield Wire(real_manager, real_node, kill, restart)
        await real_manager.close()
        await real_node.close()


async def test_a_request_is_answered_by_the_node(wire: Wire) -> None:
    async def answer(query: ChannelQuery) -> Ack:
        return Ack(problem=query.channel_id)

    await wire.node.serve(rpc("node1", "channel.state"), ChannelQuery, answer)
    assert (await wire.manager.request(rpc("node1", "channel.state"), ChannelQuery(channel_id="abc"), Ack)).problem == "abc"


async def test_an_error_travels_back_as_the_same_class_with_its_words(wire: Wire) -> None:
    async def answer(query: BuildQuery) -> Ack:
        raise NotFoundError("No such build.", details="It was never asked for.", resolution="Deploy again.")

    await wire.node.serve(rpc("node1", "build.status"), BuildQuery, answer)
    with pytest.raises(NotFoundError) as caught:
        await wire.manager.request(rpc("node1", "build.status"), BuildQuery(build_id="b"), Ack)
    assert (caught.value.message, caught.value.details, caught.value.resolution) == (
        "No such build.",
        "It was never asked for.",
        "Deploy again.",
    )


async def test_an_unexpected_error_says_nothing_of_the_inside(wire: Wire) -> None:
    async def answer(query: Nothing) -> Ack:
        raise RuntimeError("the password is swordfish")

    await wire.node.serve(rpc("node1", "stats"), Nothing, answer)
    with pytest.raises(UnavailableError) as caught:
        await wire.manager.request(rpc("node1", "stats"), Nothing(), Ack)
    assert "swordfish" not in str(caught.value)


async def test_nobody_there_is_unavailable_and_not_permanent(wire: Wire) -> None:
    with pytest.raises(UnavailableError) as caught:
        await wire.manager.request(rpc("node1", "stats"), Nothing(), Ack, timeout=1)
    assert not caught.value.permanent


async def test_a_slow_answer_is_unavailable_in_time(wire: Wire) -> None:
    release = asyncio.Event()

    async def answer(query: Nothing) -> Ack:
        await release.wait()
        return Ack()

    await wire.node.serve(rpc("node1", "stats"), Nothing, answer)
    with pytest.raises(UnavailableError):
        await wire.manager.request(rpc("node1", "stats"), Nothing(), Ack, timeout=0.2)
    release.set()


async def test_one_slow_request_does_not_hold_up_the_next(wire: Wire) -> None:
    release = asyncio.Event()

    async def answer(query: ChannelQuery) -> Ack:
        if query.channel_id == "slow":
            await release.wait()
        return Ack(problem=query.channel_id)

    await wire.node.serve(rpc("node1", "channel.state"), ChannelQuery, answer)
    slow = asyncio.create_task(wire.manager.request(rpc("node1", "channel.state"), ChannelQuery(channel_id="slow"), Ack))
    quick = await wire.manager.request(rpc("node1", "channel.state"), ChannelQuery(channel_id="quick"), Ack)
    release.set()
    assert quick.problem == "quick"
    assert (await slow).problem == "slow"


async def test_what_is_published_is_heard_in_order(wire: Wire) -> None:
    heard: list[str] = []

    async def listen(subject: str, message: Ack) -> None:
        heard.append(message.problem)

    await wire.manager.subscribe(node_topic("*", "heartbeat"), Ack, listen)
    for number in range(200):
        await wire.node.publish(node_topic("node1", "heartbeat"), Ack(problem=str(number)))
    await until(lambda: len(heard) == 200)
    assert heard == [str(number) for number in range(200)]


async def test_a_closed_subscription_hears_nothing_more(wire: Wire) -> None:
    heard: list[str] = []

    async def listen(subject: str, message: Ack) -> None:
        heard.append(message.problem)

    subscription = await wire.manager.subscribe(node_topic("*", "build"), Ack, listen)
    await wire.node.publish(node_topic("node1", "build"), Ack(problem="before"))
    await until(lambda: heard == ["before"])
    await subscription.close()
    other: list[str] = []

    async def listen_too(subject: str, message: Ack) -> None:
        other.append(message.problem)

    await wire.manager.subscribe(node_topic("*", "build"), Ack, listen_too)
    await wire.node.publish(node_topic("node1", "build"), Ack(problem="after"))
    await until(lambda: other == ["after"])
    assert heard == ["before"]


async def test_after_the_server_was_lost_everything_listens_again_and_is_told(wire: Wire) -> None:
    told: list[bool] = []

    async def on_connected() -> None:
        told.append(True)

    async def answer(query: Nothing) -> Ack:
        return Ack(problem="here")

    wire.node.on_connected(on_connected)
    await wire.node.serve(rpc("node1", "stats"), Nothing, answer)
    await wire.cut()
    with pytest.raises(UnavailableError):
        await wire.manager.request(rpc("node1", "stats"), Nothing(), Ack, timeout=0.5)
    await wire.mend()
    await until(lambda: bool(told))

    async def ask() -> bool:
        try:
            return (await wire.manager.request(rpc("node1", "stats"), Nothing(), Ack, timeout=1)).problem == "here"
        except UnavailableError:
            return False

    async with asyncio.timeout(10):
        while not await ask():
            await asyncio.sleep(0.05)


async def test_a_request_waits_for_a_server_that_restarts_and_for_its_answerer(tmp_path: Path) -> None:
    with running_nats(tmp_path) as server:
        manager, node = server.bus(), server.bus("node1")
        await until(lambda: manager.connected and node.connected)
        server.kill()
        await until(lambda: not manager.connected)
        asked = asyncio.create_task(manager.request(rpc("node1", "stats"), Nothing(), Ack, timeout=20))
        server.start()
        await until(lambda: manager.connected and node.connected)

        async def answer(query: Nothing) -> Ack:
            return Ack(problem="here")

        await node.serve(rpc("node1", "stats"), Nothing, answer)
        assert (await asked).problem == "here"
        await manager.close()
        await node.close()


@pytest.mark.parametrize(("method", "asked_again"), [("stats", True), ("exec.open", False)])
async def test_what_only_reads_is_asked_again_when_the_connection_is_lost_before_the_answer(
    tmp_path: Path, method: str, *, asked_again: bool
) -> None:
    with running_nats(tmp_path) as server:
        manager, node = server.bus(), server.bus("node1")
        await until(lambda: manager.connected and node.connected)
        asked: list[Nothing] = []

        async def answer(query: Nothing) -> Ack:
            asked.append(query)
            if len(asked) == 1:
                await asyncio.Event().wait()
            return Ack(problem="the second time")

        await node.serve(rpc("node1", method), Nothing, answer)
        question = asyncio.create_task(manager.request(rpc("node1", method), Nothing(), Ack, timeout=20))
        await until(lambda: bool(asked))
        server.kill()
        await until(lambda: not manager.connected)
        server.start()
        if asked_again:
            assert (await question).problem == "the second time"
        else:
            with pytest.raises(UnavailableError, match="lost before the answer"):
                await question
            assert len(asked) == 1
        await manager.close()
        await node.close()


async def test_who_leaves_answers_what_it_was_asked(wire: Wire) -> None:
    came, release = asyncio.Event(), asyncio.Event()

    async def answer(query: Nothing) -> Ack:
        came.set()
        await release.wait()
        return Ack(problem="still")

    subscription = await wire.node.serve(rpc("node1", "stats"), Nothing, answer)
    question = asyncio.create_task(wire.manager.request(rpc("node1", "stats"), Nothing(), Ack, timeout=10))
    await came.wait()
    await subscription.close()
    release.set()
    await wire.node.close()
    assert (await question).problem == "still"


async def test_a_large_message_passes(wire: Wire) -> None:
    async def answer(query: Ack) -> Ack:
        return query

    await wire.node.serve(rpc("node1", "files.write"), Ack, answer)
    big = "x" * 3_000_000
    assert (await wire.manager.request(rpc("node1", "files.write"), Ack(problem=big), Ack)).problem == big


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("a.*.c", "a.b.c", True),
        ("a.*.c", "a.b.d", False),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        ("a.b", "a.b.c", False),
        ("a.*", "a", False),
    ],
)
def test_subjects_match_as_in_nats(pattern: str, subject: str, *, expected: bool) -> None:
    assert matches(pattern, subject) is expected


async def test_a_node_can_neither_speak_nor_listen_for_another(tmp_path: Path) -> None:
    with running_nats(tmp_path) as server:
        manager, node = server.bus(), server.bus("node1")
        await until(lambda: manager.connected and node.connected)
        heard: list[str] = []

        async def listen(subject: str, message: Ack) -> None:
            heard.append(subject)

        await manager.subscribe(node_topic("*", "heartbeat"), Ack, listen)
        spied: list[str] = []

        async def spy(subject: str, message: Ack) -> None:
            spied.append(subject)

        await node.subscribe("rpc.node2.>", Ack, spy)
        await node.subscribe(stream_in("node2", "*"), Ack, spy)
        await node.subscribe("_INBOX.manager.>", Ack, spy)
        await node.publish(node_topic("node2", "heartbeat"), Ack(problem="a lie"))
        await manager.publish(rpc("node2", "stats"), Ack(problem="for node 2"))
        await manager.publish(stream_in("node2", "s1"), Ack(problem="for node 2"))
        await node.publish(node_topic("node1", "heartbeat"), Ack())
        await until(lambda: bool(heard))
        await until(lambda: node.connected)
        assert heard == [node_topic("node1", "heartbeat")]
        assert spied == []
        await manager.close()
        await node.close()
