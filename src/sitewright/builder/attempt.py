"""One build from its start to its final status: counted, reported, cancellable at any moment, its log ended with a sentence."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sitewright.builder.apply import BuildRun, Built, Workshop
from sitewright.builder.bench import BuildCancelledError
from sitewright.builder.log import BuildLog
from sitewright.builder.scan import forget_secrets
from sitewright.builder.secrets import Masker, values_of
from sitewright.builder.store import BuildStore
from sitewright.bus.messages import BuildRequest, BuildStatus
from sitewright.domain.limits import MIB, Limits
from sitewright.domain.states import BuildState
from sitewright.errors import SitewrightError

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""A build that the platform's own death has cut off this often is not tried again: it may be the cause."""
KILL_SECONDS = 0.3
"""After cancelling, a command's end is waited for this long; then whatever else the build is doing is broken off."""

LASTING_SECONDS = 0.2
"""A phase that lasts shorter is told to nobody."""

Tell = Callable[[BuildStatus], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Desk:
    """What an attempt needs of the builder."""

    shop: Workshop
    store: BuildStore
    tell: Tell


class Attempt:
    """One build that runs. ``limits`` is what it was granted; ``lowered``: that is less than builds usually get."""

    def __init__(self, desk: Desk, request: BuildRequest, limits: Limits, *, lowered: bool = False) -> None:
        self._desk = desk
        self._clock = desk.shop.clock
        self._request = request
        self._masker = Masker(values_of(request.env, request.secrets).values())
        self._log = BuildLog(desk.store.log_path(request.build_id), self._clock, self._masker)
        self._status = BuildStatus(build_id=request.build_id, state=BuildState.RUNNING, started_at=self._clock.now())
        self._lasting: asyncio.Task[None] | None = None
        self._run = BuildRun(desk.shop, request, self._log, self._report, limits)
        if lowered:
            self._log.say(f"Little memory is free on this machine: this build may take {limits.memory_bytes // MIB} MB.")

    def cancel(self) -> None:
        """End it, wherever it is."""
        self._run.bench.cancelled.set()

    def close(self) -> None:
        """Let go of the log."""
        self._log.close()

    async def run(self) -> BuildStatus:
        """Do it. Returns the final status, which is neither stored nor told yet; never raises SitewrightError."""
        try:
            ended = await self._outcome()
            await self._forget_secrets()
            _say_end(self._log, ended, self._clock.now() - self._status.started_at)
            return ended.model_copy(update={"finished_at": self._clock.now()})
        finally:
            if self._lasting is not None:
                self._lasting.cancel()
                await asyncio.wait({self._lasting})
            self.close()

    async def _outcome(self) -> BuildStatus:
        try:
            self._count()
            built = await self._until_cancelled()
            await asyncio.to_thread(self._desk.store.put_artefacts, built.artefacts)
            return self._succeeded(built)
        except BuildCancelledError as error:
            return self._status.model_copy(update={"state": BuildState.CANCELLED, "problem": error.message})
        except SitewrightError as error:
            return self._failed(error)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                return disk_full(self._status)
            logger.exception("build.crashed", extra={"build": self._request.build_id, "site": self._request.site_id})
            advice = "Try again; if it stays so, tell whoever runs this platform."
            return self._failed(SitewrightError("The platform made a mistake while building.", resolution=advice))

    async def _until_cancelled(self) -> Built:
        """Raises BuildCancelledError as soon as somebody has cancelled it, also while nothing of it looks."""
        work = asyncio.create_task(self._run.run(), name=f"work of {self._request.build_id}")
        stop = asyncio.create_task(self._run.bench.cancelled.wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await asyncio.wait({work}, timeout=KILL_SECONDS)
            if not work.done() and not self._run.publishing:
                work.cancel()
            await asyncio.wait({work})
            if work.cancelled():
                raise BuildCancelledError
            return work.result()
        finally:
            stop.cancel()
            if not work.done():
                work.cancel()
                await asyncio.wait({work})

    async def _forget_secrets(self) -> None:
        """What a package manager has written to the cache is there for the next build, which may not have the secrets."""
        if self._run.searched:
            gone = await asyncio.to_thread(forget_secrets, self._run.cache, self._run.searched, self._status.started_at - 1)
            if gone:
                self._log.say(f"A secret was in {gone} files of the site's build cache; they were deleted.")

    def _count(self) -> None:
        path = self._desk.store.folder(self._request.build_id) / "attempts"
        attempts = int(path.read_text()) + 1 if path.exists() else 1
        if attempts > MAX_ATTEMPTS:
            raise SitewrightError(
                f"The platform stopped {MAX_ATTEMPTS} times while this was being built.",
                resolution="Try again; if it happens again, look at the log.",
            )
        path.write_text(str(attempts))

    async def _report(self, phase: str) -> None:
        """What it is at. The first is told at once, a later one when it lasts: most are over before anybody could read them."""
        self._status = self._status.model_copy(update={"phase": phase})
        if self._lasting is None:
            self._lasting = asyncio.create_task(self._tell_what_lasts(), name=f"phases of {self._request.build_id}")
            await self._tell()

    async def _tell_what_lasts(self) -> None:
        told = self._status
        while True:
            await asyncio.sleep(LASTING_SECONDS)
            if told is not self._status:
                told = self._status
                with contextlib.suppress(OSError):
                    await self._tell()

    async def _tell(self) -> None:
        self._desk.store.put(self._status, durable=False)
        await self._desk.tell(self._status)

    def _succeeded(self, built: Built) -> BuildStatus:
        return self._status.model_copy(
            update={
                "state": BuildState.SUCCEEDED,
                "phase": "Done",
                "droplet": built.sealed.digest,
                "size_bytes": built.sealed.size_bytes,
                "blueprint": built.blueprint,
                "commit": built.commit,
            }
        )

    def _failed(self, error: SitewrightError) -> BuildStatus:
        words = {"problem": error.message, "details": error.details, "resolution": error.resolution}
        masked = {name: self._masker.text(text) for name, text in words.items()}
        return self._status.model_copy(update={"state": BuildState.FAILED, **masked})


def disk_full(status: BuildStatus) -> BuildStatus:
    """The end of a build for which there is no room."""
    return BuildStatus(
        build_id=status.build_id,
        state=BuildState.FAILED,
        started_at=status.started_at,
        finished_at=status.finished_at,
        problem="The disk of this machine is full, so nothing could be built.",
        resolution="Whoever runs this platform has to make room; then deploy again. What ran before is untouched.",
    )


def _say_end(log: BuildLog, status: BuildStatus, seconds: float) -> None:
    log.flush()
    if status.state is BuildState.SUCCEEDED:
        log.say(f"The build succeeded in {seconds:.1f} s.")
        return
    shown = list(log.tail)
    log.say(status.problem)
    for line in status.details.splitlines():
        if line not in shown:
            log.say(f"  {line}")
    if status.resolution:
        log.say(status.resolution)
