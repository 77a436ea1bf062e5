"""A real app in the real sandbox sleeps and wakes; the router's questions come over the real wake socket."""

import asyncio
import stat
from dataclasses import replace

import pytest

from sitewright.domain.desired import DesiredChannel
from sitewright.domain.events import EventKind
from sitewright.domain.identity import new_id
from sitewright.domain.processes import HealthCheck, Listen, ProcessScale, ProcessSpec
from sitewright.domain.release import Blueprint, Release
from sitewright.domain.sleep import SleepPolicy
from sitewright.engines.base import EngineState
from sitewright.testing.engine_lab import until
from sitewright.testing.node_lab import node_lab

FREEZES = SleepPolicy(freeze_after_seconds=1.0, stop_after_seconds=600.0)
STOPS = SleepPolicy(stop_after_seconds=1.0)


@pytest.fixture
async def node():
    async with node_lab() as lab:
        yield lab


def site(name, sleep, **env):
    spec = ProcessSpec("web", "exec python3 -S app.py", Listen.FD, HealthCheck(startup_seconds=120))
    release = Release(new_id(), 1, "", Blueprint("python", "host", (spec,), None))
    scale = (ProcessScale("web", 1, stop_grace_seconds=1.0),)
    hosts = (f"{name}.localhost",)
    return DesiredChannel(
        new_id(), name, 7, new_id(), "production", 1, release=release, scale=scale, hosts=hosts, sleep=sleep, env=tuple(env.items())
    )


async def awake(node, desired):
    await node.orchestrator.put(desired)
    await node.reaches(desired, "awake")
    assert b"200 OK" in await node.visit(desired)
    return desired


def texts(node, kind):
    return [event.text for event in node.orchestrator.tools.events.oldest() if event.kind is kind]


async def test_a_frozen_app_is_thawed_for_the_visitor(node):
    desired = await awake(node, site("alice", FREEZES))
    await node.reaches(desired, "frozen")
    (observed,) = node.orchestrator.observed(desired.channel_id)
    assert observed.state is EngineState.FROZEN
    assert (node.settings.paths.routes / "alice.localhost" / "asleep").exists()
    assert await node.ask("alice.localhost") == 204
    assert b"200 OK" in await node.visit(desired)
    assert await node.stage(desired) == "awake"
    assert node.orchestrator.observed(desired.channel_id)[0].spec.id == observed.spec.id


async def test_a_stopped_app_is_started_for_the_visitor_and_takes_no_memory_before(node):
    desired = await awake(node, site("bob", STOPS))
    await node.reaches(desired, "stopped")
    await asyncio.sleep(0)
    assert (await node.orchestrator.actual(desired.channel_id)).saved_bytes > 1024 * 1024
    assert await node.ask("bob.localhost") == 204
    assert b"200 OK" in await node.visit(desired)


NODE = """exec node -e "
const fs = require('node:fs');
const again = fs.existsSync('/data/again');
fs.writeFileSync('/data/again', '');
const server = require('node:http').createServer((request, response) => response.end('hello'));
setTimeout(() => server.listen(again ? OWN : process.env.PORT), 200);
" """


@pytest.mark.parametrize("own", ["process.env.PORT", "3000"])
async def test_who_visits_a_stopped_node_app_waits_in_its_socket_even_if_it_opens_another_port_this_time(node, own):
    web = ProcessSpec("web", NODE.replace("OWN", own), Listen.PORT, HealthCheck(startup_seconds=120), adopts=True)
    desired = site("alice", STOPS)
    desired = replace(desired, release=replace(desired.release, blueprint=Blueprint("node", "host", (web,), None)))
    await awake(node, desired)
    await node.reaches(desired, "stopped")
    assert await node.ask("alice.localhost") == 204
    (observed,) = node.orchestrator.observed(desired.channel_id)
    assert observed.adopting
    assert b"200 OK" in await node.visit(desired)


async def test_fifty_visitors_at_once_start_one(node):
    desired = await awake(node, site("bob", STOPS))
    await node.reaches(desired, "stopped")
    answers = await asyncio.gather(*(node.ask("bob.localhost") for _ in range(50)))
    assert answers == [204] * 50
    assert len([o for o in node.orchestrator.observed(desired.channel_id) if o.state is EngineState.RUNNING]) == 1


def slow(node, desired):
    """From now on it does not come up until the file is gone; and nobody trusts it to."""
    node.orchestrator.tools.memories.of(desired.channel_id).start_seconds.clear()
    node.orchestrator.tools.memories.save(desired.channel_id)
    waits = node.tree(desired) / "wait"
    waits.touch()
    return waits


async def test_a_thousand_visitors_may_wait_and_go_away_again(node):
    desired = await awake(node, site("bob", STOPS))
    await node.reaches(desired, "stopped")
    waits = slow(node, desired)
    visitors = []
    for _ in range(1000):
        _, writer = await asyncio.open_unix_connection(str(node.settings.paths.wake_socket))
        writer.write(b"GET / HTTP/1.1\r\nHost: w\r\nX-Sitewright-Host: bob.localhost\r\nX-Sitewright-Patience: client\r\n\r\n")
        visitors.append(writer)
    await until(waiting(node, 1000), "all of them wait", 40)
    for writer in visitors[:990]:
        writer.close()
    await until(waiting(node, 10), "who goes away is let go", 40)
    waits.unlink()
    assert await node.ask("bob.localhost") == 204
    await until(waiting(node, 0), "all are told", 40)
    for writer in visitors:
        writer.close()
        await writer.wait_closed()


def waiting(node, count):
    async def so_many():
        return len(node.waker.wakes) == count

    return so_many


async def test_a_browser_waits_three_seconds_and_a_client_as_long_as_it_takes(node):
    desired = await awake(node, site("bob", STOPS))
    await node.reaches(desired, "stopped")
    waits = slow(node, desired)
    client = asyncio.create_task(node.ask("bob.localhost"))
    assert await node.ask("bob.localhost", "browser") == 401
    waits.unlink()
    assert await client == 204


async def test_a_crash_at_wake_is_not_taken_for_a_slow_start(node):
    desired = await awake(node, site("charlie", STOPS))
    await node.reaches(desired, "stopped")
    (node.tree(desired) / "app.py").write_text("raise SystemExit(\"KeyError: 'DATABASE'\")")
    node.orchestrator.tools.memories.of(desired.channel_id).start_seconds.clear()
    assert await node.ask("charlie.localhost") == 403
    actual = await node.orchestrator.actual(desired.channel_id)
    assert "KeyError: 'DATABASE'" in actual.problem
    assert "exited with code 1" in texts(node, EventKind.WAKE_FAILED)[0]
    assert await node.ask("charlie.localhost") == 403


async def test_a_new_node_process_finds_everybody_as_they_slept(node):
    frozen, stopped = await awake(node, site("alice", FREEZES)), await awake(node, site("bob", STOPS))
    await node.reaches(frozen, "frozen")
    await node.reaches(stopped, "stopped")
    await node.restart()
    assert (await node.stage(frozen), await node.stage(stopped)) == ("frozen", "stopped")
    assert node.orchestrator.observed(stopped.channel_id) == ()
    assert [await node.ask(host) for host in ("alice.localhost", "bob.localhost")] == [204, 204]
    assert b"200 OK" in await node.visit(frozen)
    assert b"200 OK" in await node.visit(stopped)


async def test_an_open_connection_keeps_it_awake(node):
    desired = await awake(node, site("alice", FREEZES))
    slot = (node.settings.paths.routes / "alice.localhost" / "0").resolve()
    _, writer = await asyncio.open_unix_connection(str(slot))
    began = asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() - began < 2.5:
        assert await node.stage(desired) == "awake"
        await asyncio.sleep(0.1)
    writer.close()
    await node.reaches(desired, "frozen")


async def test_a_deploy_wakes_it(node):
    desired = await awake(node, site("alice", FREEZES))
    await node.reaches(desired, "frozen")
    await node.orchestrator.put(replace(desired, generation=2, restart=1, sleep=replace(FREEZES, freeze_after_seconds=300.0)))
    await node.reaches(replace(desired, generation=2), "awake")
    assert b"200 OK" in await node.visit(desired)


async def test_only_the_router_may_ask(node):
    status = node.settings.paths.wake_socket.stat()
    assert stat.S_IMODE(status.st_mode) == 0o660
    assert status.st_uid == 0
    assert await node.ask("nobody.localhost") == 404
