"""Parts are killed in the middle of a push: nothing is left half, and the next push works."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

from sitewright.repository.service import Repositories
from sitewright.system.clock import SystemClock
from sitewright.testing.git_lab import GitLab
from sitewright.testing.waiting import eventually


def inside(lab: GitLab, word: bytes) -> list[int]:
    """Processes of the site's uid whose command line holds *word*."""
    uid = lab.settings.uid_base + lab.number
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and entry.stat().st_uid == uid and word in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


async def test_a_pusher_who_goes_away_changes_nothing(lab: GitLab) -> None:
    folder = await lab.work_tree()
    reached = asyncio.Event()
    go_on = asyncio.Event()

    async def wait(_operation: str) -> None:
        reached.set()
        await go_on.wait()

    lab.manager.before_end = wait
    push = asyncio.create_task(lab.git("push", "origin", "main", cwd=folder))
    await asyncio.wait_for(reached.wait(), 30)

    async def kept() -> bool:
        return any(name.startswith("refs/sitewright/pushes/") for name in await lab.refs())

    await eventually(kept, 10)
    push.cancel()
    await asyncio.gather(push, return_exceptions=True)

    async def gone() -> bool:
        return len(lab.repositories.sessions) == 0 and not inside(lab, b"receive-pack")

    await eventually(gone, 30)
    lab.manager.before_end = None
    go_on.set()
    assert (await lab.git("push", "origin", "main", cwd=folder)).ok


async def test_a_killed_git_leaves_no_lock_and_no_half_pack(lab: GitLab) -> None:
    folder = await lab.work_tree()
    assert (await lab.git("push", "origin", "main", cwd=folder)).ok
    reached = asyncio.Event()

    async def wait(_operation: str) -> None:
        reached.set()
        await asyncio.Event().wait()

    lab.manager.before_end = wait
    await lab.commit(folder, {"index.html": "two"})
    push = asyncio.create_task(lab.git("push", "origin", "main", cwd=folder))
    await asyncio.wait_for(reached.wait(), 30)
    # What git holds in the middle of moving a reference and of taking a pack.
    uid = lab.settings.uid_base + 1
    (lab.repository / "objects/tmp_objdir-incoming-x/pack").mkdir(parents=True)
    for name in ("refs/heads/main.lock", "packed-refs.lock", "objects/pack/tmp_pack_x", "objects/tmp_objdir-incoming-x/pack/p"):
        (lab.repository / name).write_bytes(b"x")
    for path in (lab.repository / "objects/tmp_objdir-incoming-x").rglob("*"):
        os.chown(path, uid, uid)
    os.chown(lab.repository / "objects/tmp_objdir-incoming-x", uid, uid)
    for pid in inside(lab, b"receive-pack"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert not (await asyncio.wait_for(push, 30)).ok
    lab.manager.before_end = None
    done = await lab.git("push", "origin", "main", cwd=folder)
    assert done.ok, done.output
    left = [path.name for path in lab.repository.rglob("*") if path.name.endswith(".lock") or path.name.startswith("tmp_")]
    assert left == []


async def test_what_a_node_process_that_was_killed_has_left_is_swept_by_the_next(lab: GitLab) -> None:
    folder = await lab.work_tree()
    assert (await lab.git("push", "origin", "main", cwd=folder)).ok
    (lab.repository / "refs/heads/main.lock").write_bytes(b"")
    (lab.settings.paths.hooks / "left").mkdir()
    next_one = Repositories(lab.settings, lab.engine, lab.bus, SystemClock())
    await next_one.open()
    assert not (lab.settings.paths.hooks / "left").exists()
    place = next_one.places.of(lab.site, 1)
    async with next_one.boxes.upkeep.writing(place) as ended:
        assert not (lab.repository / "refs/heads/main.lock").exists()
        ended()
    await next_one.close()


async def test_without_a_manager_a_push_is_refused_with_a_sentence(lab: GitLab) -> None:
    folder = await lab.work_tree()
    lab.hub.listening = [one for one in lab.hub.listening if ".push" not in one.pattern]
    done = await lab.git("push", "origin", "main", cwd=folder)
    assert not done.ok
    assert "Push again in a minute." in done.output
    assert await lab.refs() == {}


async def test_a_repository_that_was_written_to_is_tidied_once(lab: GitLab) -> None:
    folder = await lab.work_tree()
    for number in range(3):
        await lab.commit(folder, {f"{name}.txt": os.urandom(100).hex() for name in range(number * 120, number * 120 + 120)})
        assert (await lab.git("push", "-q", "origin", "main", cwd=folder)).ok
    before = await lab.refs()
    # Of a client that was killed, and packed since.
    await lab.git("--git-dir", str(lab.repository), "update-ref", "refs/sitewright/pushes/left", before["refs/heads/main"])
    await lab.git("--git-dir", str(lab.repository), "pack-refs", "--all")
    uid = lab.settings.uid_base + 1
    os.chown(lab.repository / "packed-refs", uid, uid)
    upkeep = lab.repositories.boxes.upkeep
    assert await upkeep.tidy() == 1
    assert await upkeep.tidy() == 0
    assert len(list((lab.repository / "objects/pack").glob("*.pack"))) == 1
    assert await lab.refs() == before
    assert (await lab.git("clone", "-q", lab.address, "copy")).ok
