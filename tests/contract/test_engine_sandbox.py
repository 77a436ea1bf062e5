"""The sandbox engine keeps the contract of engines, with real processes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sitewright.testing.engine_contract import RunningEngineContract
from sitewright.testing.sandbox_lab import SandboxLab, sandbox_lab


@pytest.fixture
async def lab() -> AsyncIterator[SandboxLab]:
    async with sandbox_lab() as lab:
        yield lab


class TestSandboxEngine(RunningEngineContract):
    """All of it."""
