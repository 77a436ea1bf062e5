"""What a site can do to a warm start from the files and variables that it chooses: make its own an ordinary one, and nothing more."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sitewright.domain.limits import MIB, Limits
from sitewright.domain.processes import Listen
from sitewright.engines.sandbox.record import Folder, load
from sitewright.testing.engine_lab import end, exit_of, get, until
from sitewright.testing.warm_lab import GUNICORN, SITE_PACKAGES, WarmLab, warm_lab

ROOM = Limits(memory_bytes=256 * MIB, pids=64)
PATH = ("PATH", "/app/.venv/bin:/usr/bin:/bin")
AT_ONCE = 3.0
"""Seconds that a start may take here, whatever the site has prepared: other sites' starts wait for it."""


@pytest.fixture
async def lab() -> AsyncIterator[WarmLab]:
    async with warm_lab() as lab:
        yield lab


async def _start(lab: WarmLab, *env: tuple[str, str]) -> tuple[str, float]:
    spec = lab.instance(GUNICORN, listen=Listen.FD, limits=ROOM, env=(PATH, *env))
    assert lab.engine.warm is not None
    assert await lab.engine.warm.warmed(spec), "a parent for it gets warm"
    began = time.monotonic()
    await lab.engine.start(spec)
    return spec.id, time.monotonic() - began


async def test_a_loader_that_is_told_to_write_into_a_full_pipe_holds_up_nobodys_start(lab: WarmLab) -> None:
    await asyncio.to_thread(lab.app)
    for pid in range(1, 8):
        os.mkfifo(lab.folder / f"trap.{pid}")
        os.chown(lab.folder / f"trap.{pid}", lab.uid(1), lab.uid(1))
    instance, seconds = await _start(lab, ("LD_DEBUG", "all"), ("LD_DEBUG_OUTPUT", "/app/trap"))
    assert seconds < AT_ONCE
    await end(lab, instance)


async def test_what_waits_in_the_sandbox_for_the_copy_is_told_nothing_of_the_sites(lab: WarmLab) -> None:
    await asyncio.to_thread(lab.app)
    instance, _ = await _start(lab, ("LD_LIBRARY_PATH", "/app/lib"), ("SECRET", "of the site"))
    record = load(Folder(lab.settings.paths.instances / instance))
    assert record is not None
    holders = [int(word) for word in Path(f"/proc/{record.main[0]}/task/{record.main[0]}/children").read_text().split()]
    holders += [int(word) for pid in holders for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    told = {pid: Path(f"/proc/{pid}/environ").read_bytes() for pid in holders}
    assert holders
    assert not [pid for pid, environ in told.items() if b"/app/lib" in environ and Path(f"/proc/{pid}/comm").read_text() == "sh\n"]
    assert record.app[0], "it was begun warm"

    async def answers() -> bool:
        return await asyncio.to_thread(get, lab.settings.paths.instance_socket(instance)) == 200

    await until(answers, "the site answers")
    await end(lab, instance)


@pytest.mark.parametrize("name", ["flask/__init__.py", "../../../pyvenv.cfg", "../../../bin/gunicorn"])
async def test_a_pipe_in_place_of_a_file_keeps_its_own_site_waiting_and_nobody_else(lab: WarmLab, name: str) -> None:
    await asyncio.to_thread(lab.app)
    file = lab.folder / SITE_PACKAGES / name
    file.unlink()
    os.mkfifo(file)
    os.chown(file, lab.uid(1), lab.uid(1))
    for _ in range(3):
        instance, seconds = await _start(lab)
        assert seconds < AT_ONCE
        await end(lab, instance)


async def test_a_link_to_what_only_root_may_read_shows_nothing(lab: WarmLab) -> None:
    await asyncio.to_thread(lab.app)
    secret = lab.folder.parent / "of-root"
    secret.write_text("import sys; sys.exit('READ')")
    secret.chmod(0o600)
    for name in ("app.py", f"{SITE_PACKAGES}/flask/__init__.py"):
        (lab.folder / name).unlink()
        (lab.folder / name).symlink_to(secret)
    instance, _ = await _start(lab)
    ended = await exit_of(lab, instance)
    assert ended.code != 0
    assert b"READ" not in lab.output[instance]
