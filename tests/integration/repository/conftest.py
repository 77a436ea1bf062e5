"""A node's repositories with real git clients."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sitewright.builder.service import Builder
from sitewright.bus.messages import BuildStatus
from sitewright.system.clock import SystemClock
from sitewright.system.processes import SystemRunner
from sitewright.testing.git_lab import GitLab, git_lab
from sitewright.testing.workbench import Workbench


@pytest.fixture
async def lab() -> AsyncIterator[GitLab]:
    async with git_lab() as lab:
        yield lab


@pytest.fixture
async def bench(lab: GitLab) -> AsyncIterator[Workbench]:
    reports: list[BuildStatus] = []

    async def notify(status: BuildStatus) -> None:
        reports.append(status)

    builder = Builder(lab.settings, lab.engine, SystemClock(), SystemRunner(), notify)
    builder.commit_tree = lab.repositories.folders.commit_tree

    def hear(job: str, data: bytes) -> None:
        builder.feed(job, data)

    lab.sinks.append(hear)
    await builder.open()
    yield Workbench(lab.settings, lab.engine, builder, reports)
    await builder.close()
