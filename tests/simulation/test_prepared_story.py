"""Sites that were stopped last have a sandbox made ahead: who gets one, who gives it up, and that none is ever left over."""

from dataclasses import replace
from http import HTTPStatus

import pytest

from sitewright.domain.identity import new_id
from sitewright.domain.processes import ProcessScale
from sitewright.domain.states import Power
from sitewright.orchestrator.wake import CLIENT_SECONDS, Wakes
from sitewright.testing.orchestra import CHANNEL_ID, Machine, channel, release
from sitewright.testing.sleepers import HOST, POLICY, frozen, stage, stopped


@pytest.fixture
async def machine(tmp_path):
    machine = Machine(tmp_path)
    await machine.boot()
    machine.orchestrator.applier.prepared.low = lambda: False
    yield machine
    await machine.kill()


async def booted_with(machine, **settings):
    """The node was killed and starts again, with these settings."""
    await machine.kill()
    machine.settings = machine.settings.model_copy(update=settings)
    await machine.boot()
    machine.orchestrator.applier.prepared.low = lambda: False


def said(machine):
    return [call for call, _ in machine.engine.calls if call in {"prepare", "begin", "discard", "start"}]


async def test_a_frozen_site_has_none_and_a_stopped_one_has_one_that_is_no_instance(machine):
    await frozen(machine)
    assert machine.world.prepared == {}
    await machine.settle(550, step=1.0)
    assert await stage(machine) == "stopped"
    (spec,) = machine.world.prepared.values()
    assert (spec.channel_id, spec.process) == (CHANNEL_ID, "web")
    assert (await machine.orchestrator.actual(CHANNEL_ID)).instances == ()
    assert machine.world.held == {}


async def test_the_visitor_gets_what_was_made_ahead_and_the_next_stop_makes_another(machine):
    await stopped(machine)
    (made,) = machine.world.prepared
    machine.engine.calls.clear()
    assert await Wakes(machine.orchestrator).wait(HOST, CLIENT_SECONDS) is HTTPStatus.NO_CONTENT
    await machine.settle(3)
    assert (machine.instances(), machine.world.prepared, said(machine)) == ([made], {}, ["start", "begin"])
    await machine.settle(620, step=1.0)
    assert await stage(machine) == "stopped"
    assert len(machine.world.prepared) == 1
    assert made not in machine.world.prepared


async def test_another_release_gives_it_up(machine):
    desired = await stopped(machine)
    (made,) = machine.world.prepared
    await machine.put(replace(desired, generation=2, release=release(2)))
    await machine.settle(5)
    assert machine.world.prepared == {}
    assert ("discard", made) in machine.engine.calls
    assert made not in machine.instances()
    assert len(machine.instances()) == 1


@pytest.mark.parametrize("change", [{"power": Power.OFF}, {"removed": True}])
async def test_who_is_switched_off_or_removed_has_none(machine, change):
    desired = await stopped(machine)
    await machine.put(replace(desired, generation=2, **change))
    await machine.settle(5)
    assert machine.world.prepared == {}
    assert machine.world.held == {}


async def test_short_memory_gives_up_all_and_makes_none(machine):
    await stopped(machine)
    machine.orchestrator.applier.prepared.low = lambda: True
    await machine.settle(4)
    assert machine.world.prepared == {}
    assert await Wakes(machine.orchestrator).wait(HOST, CLIENT_SECONDS) is HTTPStatus.NO_CONTENT
    await machine.settle(620, step=1.0)
    assert (await stage(machine), machine.world.prepared) == ("stopped", {})


async def test_a_node_that_was_killed_leaves_none_and_starts_in_the_ordinary_way(machine):
    await stopped(machine)
    (made,) = machine.world.prepared
    await booted_with(machine)
    await machine.settle(5)
    assert machine.world.prepared == {}
    assert await Wakes(machine.orchestrator).wait(HOST, CLIENT_SECONDS) is HTTPStatus.NO_CONTENT
    await machine.settle(3)
    assert machine.instances() != [made]
    assert len(machine.instances()) == 1


async def test_an_engine_that_cannot_is_asked_once_a_stop(machine):
    machine.engine.prepares = False
    await stopped(machine)
    await machine.settle(30)
    assert (machine.world.prepared, len(machine.orchestrator.applier.prepared)) == ({}, 0)
    assert await Wakes(machine.orchestrator).wait(HOST, CLIENT_SECONDS) is HTTPStatus.NO_CONTENT


async def test_only_so_many_have_one_and_those_are_the_ones_stopped_last(machine):
    await booted_with(machine, prepared_sites=2)
    channels = [new_id() for _ in range(5)]
    for channel_id in channels:
        one = replace(channel(1, release(1), ProcessScale("web", 1)), sleep=POLICY)
        await machine.put(replace(one, channel_id=channel_id, site_id=new_id(), hosts=(f"{channel_id}.localhost",)))
        await machine.settle(20, step=1.0)
    await machine.settle(700, step=1.0)
    assert machine.world.held == {}
    assert {spec.channel_id for spec in machine.world.prepared.values()} == set(channels[-2:])


async def test_none_are_made_where_the_operator_says_so(machine):
    await booted_with(machine, prepared_sites=0)
    await stopped(machine)
    assert machine.world.prepared == {}
    assert "prepare" not in said(machine)
