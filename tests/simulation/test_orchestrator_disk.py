"""A site that fills the disk is stopped, told so, and left alone once it stops growing."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from sitewright.config.settings import Settings
from sitewright.orchestrator.disk import DiskGuard
from sitewright.system import disk
from sitewright.testing.orchestra import SITE_ID, Machine, channel, release

MIB = 1024 * 1024


@pytest.fixture
async def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.settings = Settings(home=tmp_path, run=tmp_path / "run", site_disk_mb=16)
    await made.boot()
    await made.put(channel(1, release(1)))
    await made.settle(5)
    made.settings.paths.data(SITE_ID, "production").mkdir(parents=True, exist_ok=True)
    return made


def write(machine: Machine, megabytes: int, name: str = "big") -> Path:
    path = machine.settings.paths.data(SITE_ID, "production") / name
    path.write_bytes(os.urandom(MIB) * megabytes)
    return path


def told(machine: Machine) -> list[str]:
    return [event.text for event in machine.orchestrator.tools.events.oldest() if "MB of files" in event.text]


async def test_a_site_within_its_room_is_left_alone(machine: Machine) -> None:
    write(machine, 10)
    before = machine.instances()
    await DiskGuard(machine.orchestrator).measure()
    assert machine.instances() == before
    assert told(machine) == []


async def test_a_site_beyond_it_is_stopped_and_its_timeline_says_why(machine: Machine) -> None:
    write(machine, 20)
    before = machine.instances()
    await DiskGuard(machine.orchestrator).measure()
    assert before
    assert not set(before) & set(machine.instances())
    assert len(told(machine)) == 1
    assert "16 MB are the most" in told(machine)[0]


async def test_a_channel_with_a_bound_of_its_own_is_held_to_that_one(machine: Machine) -> None:
    await machine.put(replace(channel(2, release(1)), disk_bytes=8 * MIB))
    await machine.settle(5)
    write(machine, 10)
    await DiskGuard(machine.orchestrator).measure()
    assert len(told(machine)) == 1
    assert "8 MB are the most" in told(machine)[0]


async def test_its_owner_can_clean_up_while_it_does_not_grow(machine: Machine) -> None:
    guard = DiskGuard(machine.orchestrator)
    big = write(machine, 20)
    await guard.measure()
    await machine.settle(30)
    again = machine.instances()
    assert again
    await guard.measure()
    assert machine.instances() == again
    more = write(machine, 2, "more")
    await guard.measure()
    assert not machine.instances()
    assert len(told(machine)) == 2
    big.unlink()
    more.unlink()
    await machine.settle(60)
    await guard.measure()
    assert machine.instances()


async def test_files_without_blocks_count_too(machine: Machine) -> None:
    folder = machine.settings.paths.data(SITE_ID, "production")
    for number in range(5000):
        (folder / str(number)).touch()
    await DiskGuard(machine.orchestrator).measure()
    assert len(told(machine)) == 1


def test_a_deleted_file_that_is_still_open_counts(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    before = disk.nameless(device).get(os.geteuid(), 0)
    with (tmp_path / "gone").open("wb") as file:
        (tmp_path / "gone").unlink()
        file.write(os.urandom(8 * MIB))
        file.flush()
        os.fsync(file.fileno())
        assert disk.nameless(device)[os.geteuid()] - before >= 7 * MIB
