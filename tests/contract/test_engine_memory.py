"""The in-memory engine keeps the contract of engines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from sitewright.domain.identity import new_id
from sitewright.domain.limits import Limits
from sitewright.domain.processes import Listen
from sitewright.engines.base import Engine, EngineState, Exit, InstanceSpec, JobSpec, Sandboxed
from sitewright.engines.memory import MemoryEngine, World
from sitewright.errors import EngineError
from sitewright.system.clock import FakeClock
from sitewright.testing.engine_contract import EngineContract
from sitewright.testing.engine_lab import FOREVER, SMALL


class MemoryLab:
    """An engine, and another on the same world when asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World()
        self.engine = MemoryEngine(FakeClock(), self.world)
        self.output: dict[str, bytearray] = {}

    def sink(self, name: str, data: bytes) -> None:
        self.output.setdefault(name, bytearray()).extend(data)

    def instance(
        self, command: str = FOREVER, *, listen: Listen = Listen.NONE, limits: Limits = SMALL, env: tuple[tuple[str, str], ...] = ()
    ) -> InstanceSpec:
        box = Sandboxed(uid=1000, command=command, env=env, mounts=(), limits=limits)
        return InstanceSpec(new_id(), "channel", "site", "web", "digest", "release", box, listen, self.folder / "s")

    def job(self, command: str, *, timeout: float = 30, limits: Limits = SMALL) -> JobSpec:
        return JobSpec(new_id(), Sandboxed(uid=1000, command=command, env=(), mounts=(), limits=limits), timeout)

    async def reopen(self, *, meanwhile: Callable[[], Awaitable[None]] | None = None) -> Engine:
        await self.engine.close()
        if meanwhile is not None:
            await meanwhile()
        self.engine = MemoryEngine(FakeClock(), self.world)
        await self.engine.open(self.sink)
        return self.engine


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[MemoryLab]:
    lab = MemoryLab(tmp_path)
    await lab.engine.open(lab.sink)
    yield lab
    await lab.engine.close()


class TestMemoryEngine(EngineContract):
    """All of it."""


async def test_a_crash_that_is_played_is_observed(lab: MemoryLab) -> None:
    spec = lab.instance()
    await lab.engine.start(spec)
    lab.engine.crash(spec.id, 3)
    (found,) = await lab.engine.observe()
    assert (found.state, found.exit) == (EngineState.EXITED, Exit(3))


async def test_a_memory_limit_that_is_played_is_observed(lab: MemoryLab) -> None:
    spec = lab.instance()
    await lab.engine.start(spec)
    lab.engine.exhaust_memory(spec.id)
    (found,) = await lab.engine.observe()
    assert found.exit == Exit(137, out_of_memory=True)


async def test_a_deaf_app_never_listens_and_a_refused_one_never_starts(lab: MemoryLab) -> None:
    deaf = lab.instance()
    lab.engine.deaf.add("web")
    await lab.engine.start(deaf)
    assert not await lab.engine.listening(deaf.id)
    lab.engine.refuse.add("web")
    with pytest.raises(EngineError):
        await lab.engine.start(lab.instance())
