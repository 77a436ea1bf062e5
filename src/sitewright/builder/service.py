"""Builds of this node: a queue on disk, a few at a time, fair by site."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from sitewright.builder.apply import BuildRun, Workshop
from sitewright.builder.bench import BuildCancelledError
from sitewright.builder.collect import Needs, unneeded
from sitewright.builder.log import BuildLog
from sitewright.builder.mirrors import machine_network_environment
from sitewright.builder.restore import restore_release
from sitewright.builder.store import BuildStore, check_request
from sitewright.builder.tools import lay_out_tools
from sitewright.bus.messages import BuildRequest, BuildStatus
from sitewright.config.settings import Settings
from sitewright.domain.desired import DesiredChannel
from sitewright.domain.states import BuildState
from sitewright.engines.base import Engine
from sitewright.errors import NotFoundError, SitewrightError
from sitewright.system.clock import Clock
from sitewright.system.packages import Packages
from sitewright.system.processes import Runner

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""A build that the platform's own death has cut off this often is not tried again: it may be the cause."""

Notify = Callable[[BuildStatus], Awaitable[None]]


class Builder:
    """Runs builds. The node process gives it the output of the engine's jobs (``feed``) and passes its reports on (``notify``)."""

    def __init__(self, settings: Settings, engine: Engine, clock: Clock, runner: Runner, notify: Notify) -> None:
        self._settings = settings
        self._engine = engine
        self._clock = clock
        self._runner = runner
        self._notify = notify
        self._store = BuildStore(settings.paths)
        self._sinks: dict[str, Callable[[bytes], None]] = {}
        self._queue: list[BuildRequest] = []
        self._served: dict[str, float] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._requests: dict[str, BuildRequest] = {}
        self._runs: dict[str, BuildRun] = {}
        self._restores: dict[Path, asyncio.Lock] = {}
        self._unpacking: Counter[str] = Counter()
        self._shop: Workshop | None = None
        self._closing = False

    async def open(self) -> None:
        """Get ready, and go on with builds that were cut off. The engine must be open."""
        await asyncio.to_thread(self._store.open)
        tools = await asyncio.to_thread(lay_out_tools, self._settings.paths)
        self._shop = Workshop(
            settings=self._settings,
            engine=self._engine,
            clock=self._clock,
            runner=self._runner,
            packages=Packages(self._runner, allowed=self._settings.install_packages),
            tools=tools,
            network_env=machine_network_environment(self._settings),
            subscribe=self._subscribe,
        )
        await asyncio.to_thread(self._store.remove_old)
        for request in await asyncio.to_thread(self._store.unfinished):
            status = self._store.status(request.build_id)
            if status is not None and status.state is BuildState.RUNNING:
                self._say(request, "The platform was restarted: this build begins again.")
            self._store.put(BuildStatus(build_id=request.build_id, state=BuildState.QUEUED, phase="Waiting"))
            self._queue.append(request)
        self._pump()

    async def close(self) -> None:
        """Stop; unfinished builds go on at the next ``open``."""
        self._closing = True
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def start(self, request: BuildRequest) -> BuildStatus:
        """Accept a build and return its state; the same id again starts nothing. Raises InvalidValueError."""
        check_request(request)
        known = self._store.status(request.build_id) if self._store.request(request.build_id) is not None else None
        if known is not None:
            return self._with_position(known)
        status = BuildStatus(build_id=request.build_id, state=BuildState.QUEUED, phase="Waiting")
        self._store.add(request, status)
        self._queue.append(request)
        self._pump()
        return self._with_position(self._store.status(request.build_id) or status)

    async def status(self, build_id: str) -> BuildStatus:
        """How it is doing. Raises NotFoundError."""
        status = self._store.status(build_id)
        if status is None:
            raise NotFoundError("There is no such build.")
        return self._with_position(status)

    async def cancel(self, build_id: str) -> BuildStatus:
        """End it, wherever it is; nothing happens to one that has ended. Raises NotFoundError."""
        status = await self.status(build_id)
        if status.state is BuildState.QUEUED and build_id not in self._running:
            self._queue = [request for request in self._queue if request.build_id != build_id]
            status = await self._finish(status.model_copy(update={"state": BuildState.CANCELLED, "problem": "The build was cancelled."}))
        elif build_id in self._runs:
            self._runs[build_id].bench.cancelled.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(10):
                    await asyncio.shield(self._running[build_id])
            status = await self.status(build_id)
        return status

    def log_path(self, build_id: str) -> Path:
        """The log: lines of `<seconds since the epoch> <text>`. The file may not be there yet. Raises InvalidValueError."""
        return self._store.log_path(build_id)

    def feed(self, job_id: str, data: bytes) -> bool:
        """Output of an engine's job; False when it is none of a build."""
        sink = self._sinks.get(job_id)
        if sink is None:
            return False
        sink(data)
        return True

    async def ensure_release(self, desired: DesiredChannel) -> Path:
        """The folder that the channel runs from; a release folder that is missing is unpacked from its droplet. Raises NotFoundError when
        the droplet is gone too."""
        assert self._shop is not None, "open() first"
        folder = self._settings.paths.channel(desired.site_id, desired.channel)
        async with self._restores.setdefault(folder, asyncio.Lock()):
            digest = desired.release.droplet if desired.release is not None else ""
            self._unpacking[digest] += 1
            try:
                return await restore_release(self._shop, desired)
            finally:
                self._unpacking[digest] -= 1

    async def collect(self, needs: Needs) -> int:
        """Delete droplets that nobody can come back to; their number."""
        droplets = await asyncio.to_thread(self._store.droplets)
        ended = await asyncio.to_thread(self._store.ended)
        going = unneeded(droplets, ended, needs, self._clock.now())
        return sum(self._store.forget_droplet(digest, droplets[digest]) for digest in going if not self._unpacking[digest])

    def _subscribe(self, job_id: str, sink: Callable[[bytes], None]) -> Callable[[], None]:
        self._sinks[job_id] = sink
        return lambda: self._sinks.pop(job_id, None) and None

    def _with_position(self, status: BuildStatus) -> BuildStatus:
        if status.state is not BuildState.QUEUED:
            return status
        waiting = [request.build_id for request in self._queue]
        position = waiting.index(status.build_id) + 1 if status.build_id in waiting else 0
        return status.model_copy(update={"position": position})

    def _say(self, request: BuildRequest, text: str) -> None:
        log = BuildLog(self._store.log_path(request.build_id), self._clock)
        log.say(text)
        log.close()

    def _pump(self) -> None:
        """Start builds while there are slots: never two of one site, and the site that has waited longest first."""
        while not self._closing and len(self._running) < self._settings.builds_at_once:
            busy = {run_request.site_id for run_request in self._busy()}
            candidates = [request for request in self._queue if request.site_id not in busy]
            if not candidates:
                return
            chosen = min(candidates, key=lambda request: self._served.get(request.site_id, 0.0))
            self._queue.remove(chosen)
            self._served[chosen.site_id] = self._clock.steady()
            self._requests[chosen.build_id] = chosen
            self._running[chosen.build_id] = asyncio.create_task(self._run(chosen), name=f"build {chosen.build_id}")

    def _busy(self) -> list[BuildRequest]:
        return [self._requests[build_id] for build_id in self._running]

    async def _run(self, request: BuildRequest) -> None:
        log = BuildLog(self._store.log_path(request.build_id), self._clock)
        try:
            await self._build(request, log)
        finally:
            log.close()
            self._running.pop(request.build_id, None)
            self._runs.pop(request.build_id, None)
            self._requests.pop(request.build_id, None)
            self._pump()

    async def _build(self, request: BuildRequest, log: BuildLog) -> None:
        assert self._shop is not None, "open() first"
        status = BuildStatus(build_id=request.build_id, state=BuildState.RUNNING, started_at=self._clock.now())

        async def report(phase: str) -> None:
            nonlocal status
            status = status.model_copy(update={"phase": phase})
            self._store.put(status, durable=False)
            await self._tell(status)

        try:
            self._count_attempt(request.build_id)
            run = BuildRun(self._shop, request, log, report)
            self._runs[request.build_id] = run
            built = await run.run()
            ended = status.model_copy(
                update={
                    "state": BuildState.SUCCEEDED,
                    "phase": "Done",
                    "droplet": built.sealed.digest,
                    "size_bytes": built.sealed.size_bytes,
                    "blueprint": built.blueprint,
                    "commit": built.commit,
                }
            )
        except BuildCancelledError as error:
            ended = status.model_copy(update={"state": BuildState.CANCELLED, "problem": error.message})
        except SitewrightError as error:
            ended = _failed(status, error)
        except Exception:
            logger.exception("build.crashed", extra={"build": request.build_id, "site": request.site_id})
            ended = _failed(
                status,
                SitewrightError(
                    "The platform made a mistake while building.", resolution="Try again; if it stays so, tell whoever runs this platform."
                ),
            )
        await asyncio.to_thread(self._store.clear_work, request.build_id)
        _say_end(log, ended, self._clock.now() - status.started_at)
        await self._finish(ended)

    def _count_attempt(self, build_id: str) -> None:
        path = self._store.folder(build_id) / "attempts"
        attempts = int(path.read_text()) + 1 if path.exists() else 1
        if attempts > MAX_ATTEMPTS:
            raise SitewrightError(
                f"The platform stopped {MAX_ATTEMPTS} times while this was being built.",
                resolution="Try again; if it happens again, look at the log.",
            )
        path.write_text(str(attempts))

    async def _finish(self, status: BuildStatus) -> BuildStatus:
        status = status.model_copy(update={"finished_at": self._clock.now(), "position": 0})
        await asyncio.to_thread(self._store.put, status)
        await self._tell(status)
        return status

    async def _tell(self, status: BuildStatus) -> None:
        """Reports make it fast; whoever asks ``status`` learns the same. So a bus that does not answer does not stop a build."""
        try:
            await self._notify(status)
        except SitewrightError as error:
            logger.warning("build.report_lost", extra={"build": status.build_id, "reason": str(error)})


def _failed(status: BuildStatus, error: SitewrightError) -> BuildStatus:
    return status.model_copy(
        update={"state": BuildState.FAILED, "problem": error.message, "details": error.details, "resolution": error.resolution}
    )


def _say_end(log: BuildLog, status: BuildStatus, seconds: float) -> None:
    log.flush()
    if status.state is BuildState.SUCCEEDED:
        log.say(f"The build succeeded in {seconds:.1f} s.")
        return
    log.say(status.problem)
    shown = list(log.tail)
    for line in status.details.splitlines():
        if line not in shown:
            log.say(f"  {line}")
    if status.resolution:
        log.say(status.resolution)
