"""A node's repositories with real git clients."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sitewright.testing.git_lab import GitLab, git_lab


@pytest.fixture
async def lab() -> AsyncIterator[GitLab]:
    async with git_lab() as lab:
        yield lab
