"""Who comes first when there is not enough for everybody, on real processes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sitewright.domain.limits import MIB, Limits
from sitewright.system.cgroups import ControlGroups
from sitewright.system.hierarchy import find_hierarchy
from sitewright.testing.engine_lab import says, until
from sitewright.testing.sandbox_lab import SandboxLab, sandbox_lab

FORKS = """
import os, time
for _ in range(500):
    try:
        if os.fork() == 0:
            time.sleep(60)
    except OSError:
        pass
print("tried")
time.sleep(60)
"""


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxLab]:
    async with sandbox_lab() as lab:
        yield lab


async def test_sites_are_ended_before_the_platform_and_builds_before_sites(sandbox: SandboxLab) -> None:
    spec = sandbox.instance("cat /proc/self/oom_score_adj; exec sleep 600")
    await sandbox.engine.start(spec)
    await says(sandbox, spec.id, b"500\n")
    job = sandbox.job("cat /proc/self/oom_score_adj")
    assert (await sandbox.engine.run(job)).exit.code == 0
    assert sandbox.text(job.id) == "800\n"


async def test_how_often_a_site_could_not_fork_is_counted(sandbox: SandboxLab) -> None:
    spec = sandbox.instance(f"python3 -c '{FORKS.replace(chr(39), '')}'", limits=Limits(memory_bytes=256 * MIB, pids=20))
    await sandbox.engine.start(spec)
    await says(sandbox, spec.id, b"tried\n")
    assert (await sandbox.engine.stats(spec.id)).forks_refused > 300


async def test_a_burning_site_gives_way_and_comes_back(sandbox: SandboxLab) -> None:
    groups = ControlGroups(find_hierarchy(), f"sw-{sandbox.settings.paths.tag}")
    burning = sandbox.instance(
        "timeout 2 sh -c 'while :; do :; done'; exec sleep 600", limits=Limits(memory_bytes=64 * MIB, cpu_weight=160)
    )
    quiet = sandbox.instance("exec sleep 600")
    for spec in (burning, quiet):
        await sandbox.engine.start(spec)

    async def weighs(name: str, weight: int) -> bool:
        return groups.weight(name) == weight

    await until(lambda: weighs(burning.id, 10), "giving way")
    assert groups.weight(quiet.id) == 100
    await until(lambda: weighs(burning.id, 160), "coming back")


async def test_a_flood_costs_the_engine_little_and_its_size_is_known(sandbox: SandboxLab) -> None:
    spec = sandbox.instance("yes flood", limits=Limits(memory_bytes=64 * MIB, log_bytes_per_second=1024))

    async def dropped() -> bool:
        return (await sandbox.engine.stats(spec.id)).dropped_bytes > 2 * MIB

    await sandbox.engine.start(spec)
    await until(dropped, "dropped output")
    await says(sandbox, spec.id, b"lines dropped (")
