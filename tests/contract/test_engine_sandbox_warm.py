"""The sandbox engine keeps the contract of engines for what it begins as a copy of a warm parent, too."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sitewright.engines.sandbox.record import Folder, load
from sitewright.testing.engine_contract import RunningEngineContract
from sitewright.testing.warm_lab import WarmLab, warm_lab


@pytest.fixture
async def lab() -> AsyncIterator[WarmLab]:
    async with warm_lab() as lab:
        yield lab


class TestWarmSandboxEngine(RunningEngineContract):
    """All of it."""


async def test_these_instances_are_begun_as_copies(lab: WarmLab) -> None:
    spec = lab.instance()
    await lab.engine.start(spec)
    record = load(Folder(lab.settings.paths.instances / spec.id))
    assert record is not None
    assert record.app[0] > 0
