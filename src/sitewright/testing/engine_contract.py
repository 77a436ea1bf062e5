"""The contract suite of engines. A test module subclasses ``EngineContract`` (what every engine keeps, the in-memory one too) or
``RunningEngineContract`` (also what only real processes show) and gives a fixture ``lab`` (engine_lab.py).
"""

from __future__ import annotations

import asyncio

import pytest

from sitewright.domain.identity import new_id
from sitewright.engines.base import EngineState, Stats
from sitewright.errors import EngineError
from sitewright.testing.engine_contract_commands import CommandsContract, ConversationsContract, JobsContract
from sitewright.testing.engine_contract_processes import ProcessesContract
from sitewright.testing.engine_lab import Lab, end, exit_of, seen


class EngineContract:
    """What every engine keeps."""

    async def test_what_was_started_is_observed_as_running(self, lab: Lab) -> None:
        spec = lab.instance()
        await lab.engine.start(spec)
        found = await seen(lab.engine, spec.id)
        assert found is not None
        assert (found.spec, found.state, found.exit) == (spec, EngineState.RUNNING, None)
        assert found.started_at > 0

    async def test_started_twice_runs_once(self, lab: Lab) -> None:
        spec = lab.instance()
        await asyncio.gather(lab.engine.start(spec), lab.engine.start(spec))
        first = await seen(lab.engine, spec.id)
        await lab.engine.start(spec)
        assert await seen(lab.engine, spec.id) == first
        assert [each.spec.id for each in await lab.engine.observe()] == [spec.id]

    async def test_observe_is_ordered_by_id(self, lab: Lab) -> None:
        specs = [lab.instance() for _ in range(3)]
        await asyncio.gather(*(lab.engine.start(spec) for spec in specs))
        assert [each.spec.id for each in await lab.engine.observe()] == sorted(spec.id for spec in specs)

    async def test_a_stopped_one_stays_listed_as_exited_until_it_is_removed(self, lab: Lab) -> None:
        spec = lab.instance()
        await lab.engine.start(spec)
        await lab.engine.stop(spec.id, 5)
        found = await seen(lab.engine, spec.id)
        assert found is not None
        assert found.state is EngineState.EXITED
        assert found.exit is not None
        await lab.engine.remove(spec.id)
        assert await lab.engine.observe() == ()

    async def test_stopping_and_removing_twice_or_unknown_ones_is_fine(self, lab: Lab) -> None:
        spec = lab.instance()
        await lab.engine.start(spec)
        await asyncio.gather(lab.engine.stop(spec.id, 5), lab.engine.stop(spec.id, 5))
        await lab.engine.stop(spec.id, 5)
        await lab.engine.remove(spec.id)
        await lab.engine.remove(spec.id)
        await lab.engine.stop(new_id(), 1)

    async def test_a_running_one_cannot_be_removed(self, lab: Lab) -> None:
        spec = lab.instance()
        await lab.engine.start(spec)
        with pytest.raises(EngineError):
            await lab.engine.remove(spec.id)
        assert await seen(lab.engine, spec.id) is not None

    async def test_an_exited_one_is_not_started_again_under_its_id(self, lab: Lab) -> None:
        spec = lab.instance()
        await lab.engine.start(spec)
        await lab.engine.stop(spec.id, 5)
        await lab.engine.start(spec)
        found = await seen(lab.engine, spec.id)
        assert found is not None
        assert found.state is EngineState.EXITED

    async def test_freezing_and_thawing_show_and_may_be_repeated(self, lab: Lab) -> None:
        spec = lab.instance()
        await lab.engine.start(spec)
        for _ in range(2):
            await lab.engine.freeze(spec.id)
            found = await seen(lab.engine, spec.id)
            assert found is not None
            assert found.state is EngineState.FROZEN
        for _ in range(2):
            await lab.engine.thaw(spec.id)
            found = await seen(lab.engine, spec.id)
            assert found is not None
            assert found.state is EngineState.RUNNING

    async def test_a_frozen_one_can_be_stopped(self, lab: Lab) -> None:
        spec = lab.instance()
        await lab.engine.start(spec)
        await lab.engine.freeze(spec.id)
        await lab.engine.stop(spec.id, 5)
        assert (await exit_of(lab, spec.id)).code >= 0

    async def test_a_new_engine_object_finds_all_again(self, lab: Lab) -> None:
        running, frozen, ended = (lab.instance() for _ in range(3))
        for spec in (running, frozen, ended):
            await lab.engine.start(spec)
        await lab.engine.freeze(frozen.id)
        await lab.engine.stop(ended.id, 5)
        before = await lab.engine.observe()
        await lab.reopen()
        assert await lab.engine.observe() == before
        for spec in (running, frozen):
            await end(lab, spec.id)
        await lab.engine.remove(ended.id)
        assert await lab.engine.observe() == ()

    async def test_a_command_beside_one_that_does_not_run_is_refused(self, lab: Lab) -> None:
        spec = lab.instance()
        with pytest.raises(EngineError):
            await lab.engine.exec(spec.id, ("true",), None)
        await lab.engine.start(spec)
        await lab.engine.stop(spec.id, 5)
        with pytest.raises(EngineError):
            await lab.engine.exec(spec.id, ("true",), None)

    async def test_what_is_unknown_or_exited_neither_listens_nor_uses_anything(self, lab: Lab) -> None:
        spec = lab.instance()
        assert not await lab.engine.listening(spec.id)
        assert await lab.engine.stats(spec.id) == Stats()
        await lab.engine.start(spec)
        await lab.engine.stop(spec.id, 5)
        assert not await lab.engine.listening(spec.id)
        assert await lab.engine.stats(spec.id) == Stats()

    async def test_a_job_cancelled_before_it_began_says_so(self, lab: Lab) -> None:
        gone = asyncio.Event()
        gone.set()

        async def cancelled() -> None:
            await gone.wait()

        assert (await lab.engine.run(lab.job("sleep 60"), cancelled())).cancelled


class RunningEngineContract(EngineContract, ProcessesContract, CommandsContract, JobsContract, ConversationsContract):
    """What engines keep that run real processes."""
