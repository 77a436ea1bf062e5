"""The sandbox engine keeps the contract of engines for what was made ahead, too: with a copy inside, and with a shell that waits."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sitewright.engines.base import InstanceSpec
from sitewright.engines.sandbox import SandboxEngine
from sitewright.testing.engine_contract import RunningEngineContract
from sitewright.testing.sandbox_lab import SandboxLab, sandbox_lab
from sitewright.testing.warm_lab import warm_lab


@pytest.fixture(params=["copy", "shell"])
async def lab(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SandboxLab]:
    """One whose engine makes everything ahead that it starts, if it can."""
    start = SandboxEngine.start

    async def from_prepared(engine: SandboxEngine, spec: InstanceSpec) -> bool:
        await engine.prepare(spec)
        return await start(engine, spec)

    monkeypatch.setattr(SandboxEngine, "start", from_prepared)
    async with warm_lab() if request.param == "copy" else sandbox_lab() as lab:
        yield lab


class TestPreparedSandboxEngine(RunningEngineContract):
    """All of it."""


async def test_these_instances_are_made_ahead(lab: SandboxLab) -> None:
    spec = lab.instance()
    assert await lab.engine.prepare(spec)
    assert lab.engine.prepared == {spec.id}
    assert await lab.engine.observe() == ()
    await lab.engine.start(spec)
    assert lab.engine.prepared == frozenset()
    assert [item.spec for item in await lab.engine.observe()] == [spec]
