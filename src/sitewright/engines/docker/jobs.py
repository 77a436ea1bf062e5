"""Commands that run to their end in a container of their own: builds, release commands, one-offs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import Any

from sitewright.engines.base import JobResult, JobSpec
from sitewright.engines.docker.daemon import Daemon
from sitewright.engines.docker.logs import Follower
from sitewright.engines.docker.views import exit_of
from sitewright.system.clock import Clock

DRAIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Ending:
    """What ended the waiting."""

    timed_out: bool = False
    cancelled: bool = False


async def _ended(daemon: Daemon, container: str, timeout: float, cancelled: Awaitable[None] | None) -> Ending:
    waiting = asyncio.ensure_future(daemon.ask("POST", f"containers/{container}/wait", timeout=None))
    stopping = asyncio.ensure_future(cancelled) if cancelled is not None else None
    watched: set[asyncio.Future[Any]] = {waiting} if stopping is None else {waiting, stopping}
    try:
        done, _ = await asyncio.wait(watched, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if waiting in done:
            waiting.result()
            return Ending()
        return Ending(timed_out=not done, cancelled=bool(done))
    finally:
        for task in watched:
            task.cancel()
        await asyncio.gather(*watched, return_exceptions=True)


async def run_container(
    daemon: Daemon, container: str, job: JobSpec, *, follower: Follower, clock: Clock, cancelled: Awaitable[None] | None
) -> JobResult:
    """Start *container*, wait for its end, and remove it, whatever happens. Everything it said has reached the sink by then. Raises
    DaemonError."""
    begun = clock.steady()
    following: asyncio.Task[None] | None = None
    try:
        await daemon.ask("POST", f"containers/{container}/start")
        following = asyncio.create_task(follower.run())
        ending = await _ended(daemon, container, job.timeout_seconds, cancelled)
        if ending != Ending():
            await daemon.ask_leniently("POST", f"containers/{container}/kill")
            await daemon.ask("POST", f"containers/{container}/wait")
        seconds = clock.steady() - begun
        state = (await daemon.ask("GET", f"containers/{container}/json"))["State"]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(following, DRAIN_SECONDS)
        result = JobResult(exit_of(state), seconds)
        return replace(result, timed_out=ending.timed_out, cancelled=ending.cancelled)
    finally:
        if following is not None:
            following.cancel()
        with contextlib.suppress(Exception):
            await asyncio.shield(daemon.ask_leniently("DELETE", f"containers/{container}", params={"force": "1", "v": "1"}))
