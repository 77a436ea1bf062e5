"""Many teams' builds at once: all end, in turns; what waits says so; what is cancelled is gone within a second."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from sitewright.bus.messages import BuildStatus, CacheQuery
from sitewright.domain.identity import new_id
from sitewright.domain.limits import MIB
from sitewright.domain.states import BuildState
from sitewright.errors import ConflictError
from sitewright.testing.waiting import eventually
from sitewright.testing.workbench import ALICE_SITE, BOB_SITE, Workbench, archive_of

TEAMS = 20


def node_build(script: str) -> dict[str, str | bytes]:
    return {"package.json": json.dumps({"scripts": {"build": script}})}


PAGES = "mkdir -p dist && echo page > dist/index.html"


async def test_twenty_teams_push_at_once_and_every_build_ends_in_turn(workbench: Workbench) -> None:
    sites = [new_id() for _ in range(TEAMS)]
    flood = [
        workbench.request(
            workbench.upload(archive_of({"index.html": f"flood {n}"})), site=ALICE_SITE, number=1, release=n + 1, team_id="alice"
        )
        for n in range(TEAMS)
    ]
    others = [
        workbench.request(
            workbench.upload(
                archive_of(node_build(f"head -c {n}000000 /dev/zero | sha256sum; {PAGES}") if n % 4 == 0 else {"index.html": site})
            ),
            site=site,
            number=n + 2,
            channel_id=new_id(),
            team_id=f"team{n}",
        )
        for n, site in enumerate(sites)
    ]
    for request in (*flood, *others):
        await workbench.builder.start(request)
    ended = [await workbench.ended(request.build_id) for request in (*flood, *others)]
    assert [status.state for status in ended] == [BuildState.SUCCEEDED] * len(ended), [status.problem for status in ended]
    order = sorted(ended, key=lambda status: status.started_at)
    of_alice = {request.build_id for request in flood}
    first = [status.build_id in of_alice for status in order[: TEAMS + 2]]
    assert first.count(False) >= TEAMS - 1, "each other team is served before the flood's third build"


async def test_a_waiting_build_hears_its_place_and_how_long(workbench: Workbench) -> None:
    slow = workbench.request(workbench.upload(archive_of(node_build(f"sleep 2; {PAGES}"))), team_id="alice")
    waiting = [
        workbench.request(
            workbench.upload(archive_of({"index.html": str(n)})),
            site=BOB_SITE,
            number=2,
            release=n + 1,
            channel_id=f"chanb{n + 2}222222",
            channel=f"preview-{n}",
        )
        for n in range(2)
    ]
    for request in (slow, *waiting):
        await workbench.builder.start(request)
    status = await workbench.builder.status(waiting[1].build_id)
    assert (status.state, status.position) == (BuildState.QUEUED, 2)
    assert status.wait_seconds > 0
    for request in (slow, *waiting):
        await workbench.ended(request.build_id)
    told = [report.position for report in workbench.reports if report.build_id == waiting[1].build_id and report.state is BuildState.QUEUED]
    assert told[:1] == [2]


@pytest.mark.parametrize("script", ["sleep 60", "(setsid sleep 60 &) ; while :; do :; done"])
async def test_a_build_is_cancelled_within_a_second_with_all_that_it_started(workbench: Workbench, script: str) -> None:
    request = workbench.request(workbench.upload(archive_of(node_build(f"echo at work; {script}"))))
    await workbench.builder.start(request)

    async def at_work() -> bool:
        path = workbench.builder.log_path(request.build_id)
        return path.exists() and "\nat work" in path.read_text().replace(" at work", "\nat work")

    await eventually(at_work, 60)
    began = time.monotonic()
    status = await workbench.builder.cancel(request.build_id)
    assert status.state is BuildState.CANCELLED
    assert time.monotonic() - began < 1.0
    after = await workbench.build(workbench.request(workbench.upload(archive_of({"index.html": "next"})), release=2), 10)
    assert after.state is BuildState.SUCCEEDED


async def test_a_build_that_takes_too_much_memory_says_how_much_it_may_take(workbench: Workbench) -> None:
    hungry = "node -e 'const kept=[]; while (true) kept.push(Buffer.alloc(1e8, 1))'"
    status = await workbench.build(workbench.request(workbench.upload(archive_of(node_build(hungry)))))
    assert status.state is BuildState.FAILED
    assert "MB of memory that a build may take" in status.problem
    assert status.resolution


async def test_a_build_waits_while_the_machine_has_no_memory_to_spare(workbench: Workbench) -> None:
    workbench.builder.available_memory = lambda: 100 * MIB
    request = workbench.request(workbench.upload(archive_of({"index.html": "patient"})))
    status = await workbench.builder.start(request)
    assert status.state is BuildState.QUEUED
    assert "Waiting for memory: 100 MB" in status.phase
    workbench.builder.available_memory = lambda: 64 * 1024 * MIB
    assert (await workbench.ended(request.build_id)).state is BuildState.SUCCEEDED


async def test_caches_are_told_and_cleared_but_not_while_the_site_is_built(workbench: Workbench) -> None:
    keeps = node_build(f"mkdir -p /cache/mine && head -c 3000000 /dev/zero > /cache/mine/big; {PAGES}")
    assert (await workbench.build(workbench.request(workbench.upload(archive_of(keeps))))).state is BuildState.SUCCEEDED
    query = CacheQuery(site_id=ALICE_SITE, number=1)
    report = await workbench.builder.caches(query)
    assert report.bytes["mine"] >= 3_000_000
    assert report.limit_bytes == 2048 * MIB
    busy = workbench.request(workbench.upload(archive_of(node_build("sleep 30"))), release=2)
    await workbench.builder.start(busy)
    with pytest.raises(ConflictError):
        await workbench.builder.caches(query.model_copy(update={"clear": True}))
    await workbench.builder.cancel(busy.build_id)
    assert (await workbench.builder.caches(query.model_copy(update={"clear": True}))).bytes.get("mine", 0) == 0


async def test_code_from_outside_of_the_team_shares_no_cache(workbench: Workbench) -> None:
    poison = node_build(f"echo bad > /cache/poison; {PAGES}")
    look = node_build(f"ls /cache | grep -c poison; {PAGES}")
    source = workbench.upload(archive_of(poison))
    await workbench.build(workbench.request(source, channel="preview-7", channel_id="chanp2222222", foreign=True))
    status = await workbench.build(workbench.request(workbench.upload(archive_of(look)), release=2))
    assert workbench.log(status).splitlines().count("0") == 1, workbench.log(status)
    again = await workbench.build(
        workbench.request(workbench.upload(archive_of(look)), channel="preview-7", channel_id="chanp2222222", foreign=True, release=2)
    )
    assert workbench.log(again).splitlines().count("1") == 1


async def test_builds_of_the_queue_go_on_in_order_after_the_process_is_gone(workbench: Workbench) -> None:
    requests = [
        workbench.request(workbench.upload(archive_of({"index.html": str(n)})), release=n + 1, channel_id=f"chan{n + 2}2222222")
        for n in range(4)
    ]
    workbench.builder.available_memory = lambda: 0
    for request in requests:
        await workbench.builder.start(request)
    await workbench.builder.close()
    fresh = workbench.again()
    await fresh.open()
    ended: list[BuildStatus] = [await workbench.ended(request.build_id) for request in requests]
    assert sorted(ended, key=lambda status: status.started_at) == ended
    await asyncio.sleep(0)
