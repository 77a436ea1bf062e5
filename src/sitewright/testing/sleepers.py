"""A channel that sleeps and wakes on a machine that is all memory: what stories about it begin with, and what they ask."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from http import HTTPStatus

from sitewright.domain.desired import DesiredChannel
from sitewright.domain.events import EventKind
from sitewright.domain.processes import ProcessScale
from sitewright.domain.sleep import SleepPolicy
from sitewright.domain.traffic import HostTraffic
from sitewright.orchestrator.wake import CLIENT_SECONDS, Wakes
from sitewright.testing.orchestra import CHANNEL_ID, Machine, channel, release

POLICY = SleepPolicy(freeze_after_seconds=60, stop_after_seconds=600)
HOST = "guestbook.localhost"


async def deployed(machine: Machine, count: int = 1, policy: SleepPolicy = POLICY) -> DesiredChannel:
    """Awake, with *count* copies of its web process in the route."""
    desired = replace(channel(1, release(1), ProcessScale("web", count)), sleep=policy)
    await machine.put(desired)
    await machine.settle(3)
    assert machine.routed() == count
    return desired


async def stage(machine: Machine) -> str:
    """Its stage as the node reports it."""
    return (await machine.orchestrator.actual(CHANNEL_ID)).sleep


async def frozen(machine: Machine, count: int = 1) -> DesiredChannel:
    """Nobody came for a minute."""
    desired = await deployed(machine, count)
    await machine.settle(62)
    assert await stage(machine) == "frozen"
    return desired


async def stopped(machine: Machine, count: int = 1, policy: SleepPolicy = POLICY) -> DesiredChannel:
    """Nobody came for ten minutes."""
    desired = await deployed(machine, count, policy)
    await machine.settle(610, step=1.0)
    assert await stage(machine) == "stopped"
    assert machine.world.held == {}
    return desired


async def visit(machine: Machine, seconds: float = 0.05, patience: float = CLIENT_SECONDS, wakes: Wakes | None = None) -> HTTPStatus:
    """Ask as the router does, and let the loop go round meanwhile; *seconds* a turn."""
    asked = asyncio.create_task((wakes or Wakes(machine.orchestrator)).wait(HOST, patience))
    for _ in range(200):
        await asyncio.sleep(0)
        if asked.done():
            break
        await machine.turn(seconds)
    return await asked


def visited(machine: Machine) -> None:
    """The router's log had a request just now."""
    machine.orchestrator.note_traffic((HostTraffic(HOST, machine.clock.now(), requests=1),))


def kinds(machine: Machine) -> list[EventKind]:
    """What was told, the oldest first."""
    return [event.kind for event in machine.orchestrator.tools.events.oldest()]


def texts(machine: Machine, kind: EventKind) -> list[str]:
    """In which words."""
    return [event.text for event in machine.orchestrator.tools.events.oldest() if event.kind is kind]
