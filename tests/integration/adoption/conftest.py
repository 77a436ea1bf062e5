from collections.abc import AsyncIterator

import pytest

from sitewright.testing.sandbox_lab import SandboxLab, sandbox_lab


@pytest.fixture
async def lab() -> AsyncIterator[SandboxLab]:
    async with sandbox_lab() as lab:
        yield lab
