"""A builder on a real engine, with a data folder of its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sitewright.builder.service import Builder
from sitewright.bus.memory import MemoryBus, MemoryHub
from sitewright.bus.messages import BuildStatus
from sitewright.config.settings import Settings
from sitewright.engines.sandbox.engine import SandboxEngine
from sitewright.repository.service import Repositories
from sitewright.system.clock import SystemClock
from sitewright.system.ownership import make_folder
from sitewright.system.processes import SystemRunner
from sitewright.testing.workbench import Workbench


@pytest.fixture
def home() -> Iterator[Path]:
    """Not pytest's own temporary folder: a site's user must be able to pass through."""
    folder = Path(tempfile.mkdtemp(prefix="swb-"))
    make_folder(folder, 0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def workbench(home: Path) -> AsyncIterator[Workbench]:
    settings = Settings(home=home, git_file_urls=True)
    engine = SandboxEngine(settings, SystemRunner(), SystemClock())
    reports: list[BuildStatus] = []

    async def notify(status: BuildStatus) -> None:
        reports.append(status)

    builder = Builder(settings, engine, SystemClock(), SystemRunner(), notify)
    bench = Workbench(settings, engine, builder, reports)
    await engine.open(lambda job, data: bench.builder.feed(job, data) and None)
    repositories = Repositories(settings, engine, MemoryBus(MemoryHub()), SystemClock())
    settings.paths.sites.mkdir()
    settings.paths.node.mkdir()
    await repositories.open()
    builder.commit_tree = repositories.folders.commit_tree
    await builder.open()
    yield bench
    await bench.builder.close()
    await engine.close()
    shutil.rmtree(settings.paths.run, ignore_errors=True)
