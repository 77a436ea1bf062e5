"""What a node serves when it starts on many channels: whom a visitor asks for comes first, and an upgrade neither delays nor wakes."""

import asyncio
from dataclasses import replace

import pytest

from sitewright.domain.sleep import SleepPolicy, SleepStage
from sitewright.orchestrator import memory as memories
from sitewright.orchestrator.daemon import Orchestrator
from sitewright.orchestrator.desired import DesiredStore
from sitewright.orchestrator.wake import Wakes
from sitewright.testing.orchestra import CHANNEL_ID, Machine, channel, release

HOST = "guestbook.localhost"


@pytest.fixture
async def asleep(tmp_path):
    """A machine whose one channel is stopped because nobody came, and whose node has just ended."""
    machine = Machine(tmp_path)
    await machine.boot()
    await machine.put(replace(channel(1, release(1)), sleep=SleepPolicy(0.0, 1.0)))
    await machine.settle(20)
    assert machine.orchestrator.tools.memories.resting(CHANNEL_ID).sleep.stage is SleepStage.STOPPED
    await machine.kill()
    machine.routes.table.clear()
    return machine


async def upgraded(machine, monkeypatch):
    """The next node has another planner, which would name the same instances differently."""
    monkeypatch.setattr(memories, "planner_version", lambda: "another")
    await machine.boot()
    return machine.orchestrator


async def test_after_an_upgrade_a_route_is_served_as_it_was_and_planned_later(asleep, monkeypatch):
    planned = []
    monkeypatch.setattr(Orchestrator, "_route", lambda _self, desired: planned.append(desired.channel_id) or asyncio.sleep(0))
    orchestrator = await upgraded(asleep, monkeypatch)
    assert HOST in asleep.routes.table[CHANNEL_ID].hosts
    assert not planned
    await asleep.turn(0.5)
    assert planned == [CHANNEL_ID]
    assert not orchestrator.opening.stale


async def test_an_upgrade_wakes_nobody(asleep, monkeypatch):
    path = asleep.settings.paths.remembered / f"{CHANNEL_ID}.json"
    body = memories.json.loads(memories.checked_body(path.name, path.read_bytes()))
    body["sleep"]["shape"] = "as another version called it"
    memories.write_checked_json(path, body)
    orchestrator = await upgraded(asleep, monkeypatch)
    await asleep.settle(20)
    assert asleep.instances() == []
    resting = orchestrator.tools.memories.resting(CHANNEL_ID)
    assert resting is not None
    assert resting.sleep.stage is SleepStage.STOPPED
    assert [settled.stale for settled in memories.MemoryStore(asleep.settings.paths.remembered).settled()] == [False]


async def test_who_sleeps_since_before_an_upgrade_is_woken_by_a_visitor(asleep, monkeypatch):
    orchestrator = await upgraded(asleep, monkeypatch)
    await orchestrator.rouse(CHANNEL_ID, "a visitor")
    await asleep.turn(0.1)
    assert len(asleep.instances()) == 1


async def test_a_visitor_need_not_wait_until_all_channels_are_served(asleep):
    await asleep.boot()
    orchestrator = Orchestrator(asleep.orchestrator.tools, DesiredStore(asleep.settings.paths.desired))
    asleep.routes.table.clear()
    await orchestrator.load()
    assert CHANNEL_ID not in asleep.routes.table
    wakes = Wakes(orchestrator)
    assert await wakes.route("nobody.localhost") == 404
    await wakes.route(HOST)
    assert HOST in asleep.routes.table[CHANNEL_ID].hosts
    waiting = asyncio.create_task(wakes.wait(HOST, 10.0))
    async with asyncio.timeout(10):
        while not orchestrator.observed(CHANNEL_ID):
            await asyncio.sleep(0)
    await orchestrator.open()
    await orchestrator.turn()
    assert await waiting == 204
    await orchestrator.close()
