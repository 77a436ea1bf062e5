"""The queue of builds: idempotent, fair, cancellable, and as it was after a kill. The engine is a fake that waits to be told."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import cast

import pytest

from sitewright.builder.collect import YOUNGEST_SECONDS, Needs
from sitewright.builder.service import MAX_ATTEMPTS, Builder
from sitewright.builder.store import KEPT_PER_CHANNEL, BuildStore
from sitewright.bus.messages import Author, BuildRequest, BuildStatus, TemplateSource, UploadSource
from sitewright.config.settings import Settings
from sitewright.domain.identity import new_id
from sitewright.domain.states import BuildState
from sitewright.engines.base import Engine, Exit, JobResult, JobSpec
from sitewright.errors import InvalidValueError, NotFoundError
from sitewright.system.clock import SystemClock
from sitewright.system.processes import SystemRunner
from sitewright.testing.waiting import eventually

ALICE, BOB, CHARLIE = "asite2222222", "bsite2222222", "csite2222222"


class GatedEngine:
    """Plays the sandbox for static sites: `seal` succeeds once its gate is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.sink = lambda _job, _data: None
        self.order: list[int] = []

    async def run(self, job: JobSpec, cancelled: Awaitable[None] | None = None) -> JobResult:
        self.order.append(job.box.uid)
        waits = [asyncio.ensure_future(self.gate.wait()), *([asyncio.ensure_future(cancelled)] if cancelled else [])]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if not self.gate.is_set():
            return JobResult(Exit(137), 0.0, cancelled=True)
        out = next((mount.source for mount in job.box.mounts if mount.target == "/out"), None)
        if out is not None:
            (out / "droplet.tar").write_bytes(b"archive")
        self.sink(job.id, json.dumps({"files": 1, "bytes": 2, "top": ""}).encode() + b"\n")
        return JobResult(Exit(0), 0.0)


class Later(SystemClock):
    """So late that no droplet is fresh."""

    def now(self) -> float:
        return super().now() + 2 * YOUNGEST_SECONDS


class Desk:
    """A builder and what it needs."""

    def __init__(self, home: Path) -> None:
        self.engine = GatedEngine()
        self.reports: list[BuildStatus] = []
        self.settings = Settings(home=home)
        self.builder = self.make()

    def make(self, clock: SystemClock | None = None) -> Builder:
        builder = Builder(self.settings, cast(Engine, self.engine), clock or SystemClock(), SystemRunner(), self.notify)
        self.engine.sink = lambda job, data: builder.feed(job, data) and None
        return builder

    async def notify(self, status: BuildStatus) -> None:
        self.reports.append(status)

    async def ended(self, build_id: str) -> BuildStatus:
        async def final() -> BuildStatus | None:
            status = await self.builder.status(build_id)
            return status if status.finished_at else None

        return await eventually(final, 20)


def request(site: str = ALICE, number: int = 1, build_id: str = "") -> BuildRequest:
    return BuildRequest(
        build_id=build_id or new_id(),
        site_id=site,
        number=number,
        channel_id="chan22222222",
        channel="production",
        mode="released",
        source=TemplateSource(name="static"),
        release_number=1,
    )


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path)
    await desk.builder.open()
    yield desk
    await desk.builder.close()


async def test_the_same_build_asked_for_twice_is_built_once(desk: Desk) -> None:
    asked = request()
    await desk.builder.start(asked)
    first = await desk.ended(asked.build_id)
    assert first.state is BuildState.SUCCEEDED
    assert await desk.builder.start(asked) == first
    assert len(desk.engine.order) == 1


async def test_sites_take_turns(desk: Desk) -> None:
    desk.engine.gate.clear()
    wanted = [request(ALICE, 1), request(ALICE, 1), request(ALICE, 1), request(BOB, 2), request(CHARLIE, 3)]
    for each in wanted:
        await desk.builder.start(each)
    assert [(await desk.builder.status(each.build_id)).position for each in wanted] == [0, 3, 4, 1, 2]
    desk.engine.gate.set()
    for each in wanted:
        await desk.ended(each.build_id)
    base = desk.settings.uid_base
    sites = [uid - base for uid in desk.engine.order]
    if base in range(min(desk.engine.order)):
        assert sites == [1, 2, 3, 1, 1]


async def test_a_running_build_is_cancelled(desk: Desk) -> None:
    desk.engine.gate.clear()
    asked = request()
    await desk.builder.start(asked)

    async def running() -> bool:
        return bool(desk.engine.order)

    await eventually(running)
    assert (await desk.builder.cancel(asked.build_id)).state is BuildState.CANCELLED
    assert not (desk.settings.paths.builds / asked.build_id / "work").exists()


async def test_a_waiting_build_is_cancelled_and_never_runs(desk: Desk) -> None:
    desk.engine.gate.clear()
    first, second = request(), request(BOB, 2)
    await desk.builder.start(first)
    await desk.builder.start(second)
    assert (await desk.builder.cancel(second.build_id)).state is BuildState.CANCELLED
    desk.engine.gate.set()
    await desk.ended(first.build_id)
    assert len(desk.engine.order) == 1


async def test_a_build_is_cancelled_where_no_command_runs(desk: Desk) -> None:
    at_it = asyncio.Event()

    async def never_ends(*_: object) -> str:
        at_it.set()
        await asyncio.Event().wait()
        return ""

    desk.builder = desk.make()
    desk.builder.commit_tree = never_ends
    await desk.builder.open()
    asked = request().model_copy(update={"record": Author(name="Alice", email="alice@example.org", message="first")})
    await desk.builder.start(asked)
    await asyncio.wait_for(at_it.wait(), 10)
    async with asyncio.timeout(1):
        assert (await desk.builder.cancel(asked.build_id)).state is BuildState.CANCELLED
    after = request(BOB, 2)
    await desk.builder.start(after)
    assert (await desk.ended(after.build_id)).state is BuildState.SUCCEEDED


async def test_builds_keep_their_order_when_the_platform_is_killed(desk: Desk) -> None:
    """Nothing is closed: all there is is on disk, as after kill -9."""
    desk.engine.gate.clear()
    wanted = [
        request(site, number).model_copy(update={"channel_id": new_id()}) for site, number in ((ALICE, 1), (BOB, 2), (CHARLIE, 3), (BOB, 2))
    ]
    for each in wanted:
        await desk.builder.start(each)
    abandoned, desk.builder = desk.builder, desk.make()
    await abandoned.close()
    desk.engine.gate.set()
    await desk.builder.open()
    ended = [await desk.ended(each.build_id) for each in wanted]
    assert sorted(ended, key=lambda status: status.started_at) == ended


async def test_a_build_whose_folder_is_gone_holds_up_nobody(desk: Desk) -> None:
    desk.engine.gate.clear()
    first, lost, after = request(), request(BOB, 2), request(CHARLIE, 3)
    for each in (first, lost, after):
        await desk.builder.start(each)
    shutil.rmtree(desk.settings.paths.builds / lost.build_id)
    desk.engine.gate.set()
    assert (await desk.ended(after.build_id)).state is BuildState.SUCCEEDED


async def test_builds_that_were_cut_off_or_waiting_go_on_after_a_restart(desk: Desk) -> None:
    desk.engine.gate.clear()
    first, second = request(), request(BOB, 2)
    await desk.builder.start(first)
    await desk.builder.start(second)

    async def running() -> bool:
        return bool(desk.engine.order)

    await eventually(running)
    await desk.builder.close()
    assert (await desk.builder.status(first.build_id)).state is BuildState.RUNNING
    desk.builder = desk.make()
    desk.engine.gate.set()
    await desk.builder.open()
    assert (await desk.ended(first.build_id)).state is BuildState.SUCCEEDED
    assert (await desk.ended(second.build_id)).state is BuildState.SUCCEEDED
    assert "begins again" in desk.builder.log_path(first.build_id).read_text()


async def test_a_build_that_keeps_killing_the_platform_is_given_up(desk: Desk) -> None:
    asked = request()
    BuildStore(desk.settings.paths).add(asked, BuildStatus(build_id=asked.build_id, state=BuildState.RUNNING))
    (desk.settings.paths.builds / asked.build_id / "attempts").write_text(str(MAX_ATTEMPTS))
    desk.builder = desk.make()
    await desk.builder.open()
    status = await desk.ended(asked.build_id)
    assert status.state is BuildState.FAILED
    assert "stopped 3 times" in status.problem


async def test_a_damaged_status_is_built_again(desk: Desk) -> None:
    asked = request()
    store = BuildStore(desk.settings.paths)
    store.add(asked, BuildStatus(build_id=asked.build_id, state=BuildState.RUNNING))
    (desk.settings.paths.builds / asked.build_id / "status.json").write_bytes(b'{"build')
    desk.builder = desk.make()
    await desk.builder.open()
    assert (await desk.ended(asked.build_id)).state is BuildState.SUCCEEDED


@pytest.mark.parametrize("field", ["build_id", "site_id", "channel_id", "channel"])
async def test_a_name_that_is_a_path_is_refused(desk: Desk, field: str) -> None:
    with pytest.raises(InvalidValueError):
        await desk.builder.start(request().model_copy(update={field: "../../etc"}))


async def test_an_unknown_build_is_not_found(desk: Desk) -> None:
    with pytest.raises(NotFoundError):
        await desk.builder.status(new_id())


async def test_an_upload_that_is_not_what_its_name_says_is_refused(desk: Desk) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("index.html"), io.BytesIO())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    desk.settings.paths.uploads.mkdir()
    (desk.settings.paths.uploads / digest).write_bytes(buffer.getvalue() + b"changed")
    for name, words in ((digest, "damaged"), ("0" * 64, "not there any more"), ("../../etc/passwd", "no such upload")):
        asked = request().model_copy(update={"source": UploadSource(digest=name)})
        await desk.builder.start(asked)
        status = await desk.ended(asked.build_id)
        assert status.state is BuildState.FAILED
        assert words in status.problem


async def test_a_droplet_that_two_sites_share_goes_with_the_second_of_them(desk: Desk) -> None:
    for site, number in ((ALICE, 1), (BOB, 2)):
        asked = request(site, number)
        await desk.builder.start(asked)
        droplet = (await desk.ended(asked.build_id)).droplet
    path = desk.settings.paths.droplets / droplet
    assert await desk.builder.collect(Needs(frozenset(), frozenset())) == 0, "it is fresh"
    later = desk.make(Later())
    assert await later.collect(Needs(frozenset(), frozenset({BOB}))) == 0
    assert await later.collect(Needs(frozenset({droplet}), frozenset())) == 0
    assert path.exists()
    assert await later.collect(Needs(frozenset(), frozenset())) == 1
    assert not path.exists()


async def test_a_full_disk_ends_the_build_with_a_sentence(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    desk.engine.gate.clear()
    asked = request()
    await desk.builder.start(asked)

    async def running() -> bool:
        return bool(desk.engine.order)

    await eventually(running)
    monkeypatch.setattr(BuildStore, "put", full)
    desk.engine.gate.set()
    status = await desk.ended(asked.build_id)
    assert status.state is BuildState.FAILED
    assert "disk of this machine is full" in status.problem


def test_builds_are_kept_by_channel_and_while_somebody_may_come_back(tmp_path: Path) -> None:
    store = BuildStore(Settings(home=tmp_path).paths)
    store.open()
    kept = []
    for number in range(KEPT_PER_CHANNEL + 5):
        asked = request().model_copy(update={"channel": "staging" if number % 2 else "production"})
        store.add(asked, BuildStatus(build_id=asked.build_id, state=BuildState.SUCCEEDED, droplet=f"{number:064}"), float(number), number)
        os.utime(store.folder(asked.build_id), (number, number))
        kept.append(asked.build_id)
    for number in range(KEPT_PER_CHANNEL):
        asked = request()
        store.add(asked, BuildStatus(build_id=asked.build_id, state=BuildState.FAILED), 1000.0 + number, number)
        os.utime(store.folder(asked.build_id), (1000 + number, 1000 + number))
    store.remove_old({f"{2:064}"})
    left = [number for number, build_id in enumerate(kept) if store.request(build_id) is not None]
    assert left == sorted([2, *range(1, KEPT_PER_CHANNEL + 5, 2)])


def test_a_build_that_ended_as_the_platform_was_killed_forgets_its_variables(tmp_path: Path) -> None:
    store = BuildStore(Settings(home=tmp_path).paths)
    store.open()
    asked = request().model_copy(update={"env": (("API_TOKEN", "s3cr3t-t0ken"),)})
    store.add(asked, BuildStatus(build_id=asked.build_id, state=BuildState.FAILED))
    assert store.unfinished() == []
    store.remove_old()
    assert "s3cr3t" not in (store.folder(asked.build_id) / "request.json").read_text()
