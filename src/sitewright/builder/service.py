"""Builds of this node: a queue on disk, a few at a time, fair by team."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sitewright.builder import caches
from sitewright.builder.allowance import build_limits, granted, memory_limit, short_of_memory
from sitewright.builder.announce import LEAST_SECONDS, Announcer
from sitewright.builder.apply import CommitTree, Workshop
from sitewright.builder.artefacts import Distribution
from sitewright.builder.attempt import MAX_ATTEMPTS, Attempt, Desk, disk_full
from sitewright.builder.collect import Needs, unneeded
from sitewright.builder.log import BuildLog
from sitewright.builder.mirrors import machine_network_environment
from sitewright.builder.queue import Place, Slots, Ticket
from sitewright.builder.restore import check_image_here, restore_release
from sitewright.builder.search import search_log
from sitewright.builder.store import FINAL, BuildStore, check_request
from sitewright.builder.tools import lay_out_tools
from sitewright.builder.waiting import WaitingRoom, slots_of
from sitewright.bus.messages import Artefacts, BuildRequest, BuildSearch, BuildStatus, CacheQuery, CacheReport, LogPage
from sitewright.config.settings import Settings
from sitewright.domain.desired import DesiredChannel
from sitewright.domain.identity import is_id
from sitewright.domain.limits import MIB
from sitewright.domain.states import BuildState
from sitewright.engines.base import Engine
from sitewright.engines.images import images_of
from sitewright.errors import ConflictError, InvalidValueError, NotFoundError, SitewrightError
from sitewright.system.clock import Clock
from sitewright.system.memory import available_bytes, installed_bytes
from sitewright.system.packages import Packages
from sitewright.system.processes import Runner

logger = logging.getLogger(__name__)

__all__ = ["MAX_ATTEMPTS", "Builder"]

LOOK_FOR_MEMORY_SECONDS = 1.0
CANCEL_SECONDS = 10.0

Notify = Callable[[BuildStatus], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Running:
    """A build that runs. ``began`` is steady time in seconds, ``memory`` the bytes that it may take."""

    ticket: Ticket
    attempt: Attempt
    began: float
    memory: int
    task: asyncio.Task[None]


class Builder:
    """Runs builds. The node process gives it the output of the engine's jobs (``feed``) and passes its reports on (``notify``)."""

    def __init__(self, settings: Settings, engine: Engine, clock: Clock, runner: Runner, notify: Notify) -> None:
        self._settings = settings
        self._engine = engine
        self._clock = clock
        self._runner = runner
        self._notify = notify
        self.commit_tree: CommitTree | None = None
        """Set by whoever puts the node together, before ``open``: where sources that are not from git are kept."""
        self.available_memory: Callable[[], int] = available_bytes
        self._store = BuildStore(settings.paths)
        self._room = WaitingRoom(settings.paths.builds / "queue.json")
        self._announcer = Announcer(self._places, lambda place: self._later(self._tell(self._waiting(place.build_id, place))))
        self._sinks: dict[str, Callable[[bytes], None]] = {}
        self._requests: dict[str, BuildRequest] = {}
        self._unsaved: dict[str, BuildStatus] = {}
        """How builds have ended for which there was no room on the disk; after a restart they begin again."""
        self._running: dict[str, Running] = {}
        self._accepted = 0
        self._memory = memory_limit(settings.build_memory_mb, installed_bytes())
        self._short_since: float | None = None
        """Since when the next build waits for memory, in steady seconds."""
        self._played: tuple[int, float, tuple[Place, ...]] = (-1, 0.0, ())
        self._look: asyncio.TimerHandle | None = None
        self._background: set[asyncio.Task[Any]] = set()
        self._trims: dict[str, asyncio.Future[int]] = {}
        """Sites whose caches are being made smaller: their next build waits for that."""
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
            distribution=Distribution(self._runner),
            commit_tree=self.commit_tree,
        )
        await asyncio.to_thread(self._room.load)
        for accepted in await asyncio.to_thread(self._store.unfinished):
            request = accepted.request
            status = self._store.status(request.build_id)
            if status is not None and status.state is BuildState.RUNNING:
                self._say(request, "The platform was restarted: this build begins again.")
            self._store.put(BuildStatus(build_id=request.build_id, state=BuildState.QUEUED, phase="Waiting"), durable=False)
            self._enqueue(request, accepted.since)
        self._later(self._remove_old())
        self._pump()

    async def _remove_old(self) -> None:
        await asyncio.to_thread(self._store.remove_old)

    async def close(self) -> None:
        """Stop; unfinished builds go on at the next ``open``."""
        self._closing = True
        self._announcer.close()
        if self._look is not None:
            self._look.cancel()
        tasks = [*(running.task for running in self._running.values()), *self._background]
        for running in self._running.values():
            running.task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for running in self._running.values():
            # One that was cancelled before its first step has closed nothing.
            running.attempt.close()

    async def start(self, request: BuildRequest) -> BuildStatus:
        """Accept a build and return its state; the same id again starts nothing. Raises InvalidValueError."""
        check_request(request)
        known = self._store.status(request.build_id) if self._store.request(request.build_id) is not None else None
        if known is not None:
            return self._with_place(known)
        status = BuildStatus(build_id=request.build_id, state=BuildState.QUEUED, phase="Waiting")
        since = self._clock.now()
        self._store.add(request, status, since, self._accepted + 1)
        self._enqueue(request, since)
        self._pump()
        return self._with_place(self._store.status(request.build_id) or status)

    async def status(self, build_id: str) -> BuildStatus:
        """How it is doing. Raises NotFoundError."""
        status = self._unsaved.get(build_id) or self._store.status(build_id)
        if status is None:
            raise NotFoundError("There is no such build.")
        return self._with_place(status)

    async def cancel(self, build_id: str) -> BuildStatus:
        """End it, wherever it is; nothing happens to one that has ended. Raises NotFoundError."""
        status = await self.status(build_id)
        running = self._running.get(build_id)
        if running is not None:
            running.attempt.cancel()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CANCEL_SECONDS):
                    await asyncio.shield(running.task)
            return await self.status(build_id)
        if self._room.leave(build_id):
            ended = {"state": BuildState.CANCELLED, "problem": "The build was cancelled.", "finished_at": self._clock.now()}
            status = await self._finish(status.model_copy(update=ended))
            self._pump()
        return status

    def log_path(self, build_id: str) -> Path:
        """The log: lines of `<seconds since the epoch> <text>`. The file may not be there yet. Raises InvalidValueError."""
        return self._store.log_path(build_id)

    async def search(self, query: BuildSearch) -> LogPage:
        """Lines of a build's log. Raises NotFoundError, InvalidValueError."""
        status = await self.status(query.build_id)
        return await asyncio.to_thread(search_log, self.log_path(query.build_id), query, final=status.state in FINAL)

    async def artefacts(self, build_id: str) -> Artefacts:
        """What it put together. Raises NotFoundError when there is no such build, or it has not succeeded."""
        await self.status(build_id)
        found = await asyncio.to_thread(self._store.artefacts, build_id)
        if found is None:
            raise NotFoundError("What this build put together is not known.", resolution="It is there when a build has succeeded.")
        return found

    async def caches(self, query: CacheQuery) -> CacheReport:
        """What a site's caches take; with ``clear`` they are deleted first. Raises InvalidValueError, ConflictError while it is built."""
        if not is_id(query.site_id):
            raise InvalidValueError(f"“{query.site_id[:20]}” is not the id of a site.")
        folder = self._settings.paths.caches / query.site_id
        if query.clear:
            if self._is_built(query.site_id):
                raise ConflictError("The site is being built; its caches are in use.", resolution="Wait until the build has ended.")
            await asyncio.to_thread(caches.clear, folder)
        found = await asyncio.to_thread(caches.items, folder)
        return CacheReport(bytes=caches.by_kind(found), limit_bytes=self._settings.build_cache_mb * MIB)

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
                await check_image_here(self._shop, desired)
                return await restore_release(self._shop, desired)
            finally:
                self._unpacking[digest] -= 1

    async def collect(self, needs: Needs) -> int:
        """Delete droplets that nobody can come back to, and what is left of old builds; the number of droplets."""
        droplets = await asyncio.to_thread(self._store.droplets)
        ended = await asyncio.to_thread(self._store.ended)
        going = unneeded(droplets, ended, needs, self._clock.now())
        gone = sum(self._store.forget_droplet(digest, droplets[digest]) for digest in going if not self._unpacking[digest])
        await asyncio.to_thread(self._store.remove_old, droplets.keys() - set(going) | needs.droplets)
        images = images_of(self._engine)
        if images is not None:
            # Images go after their droplets, and what builds make meanwhile is asked for last.
            kept = await asyncio.to_thread(self._store.droplets)
            await images.remove_images(frozenset({*kept, *needs.droplets, *self._requests}))
        return gone

    def _subscribe(self, job_id: str, sink: Callable[[bytes], None]) -> Callable[[], None]:
        self._sinks[job_id] = sink
        return lambda: self._sinks.pop(job_id, None) and None

    # --- the queue ---
    def _enqueue(self, request: BuildRequest, since: float) -> None:
        self._accepted += 1
        self._requests[request.build_id] = request
        self._room.add(request, since, self._accepted)

    def _slots(self) -> Slots:
        running = {build_id: (one.ticket, one.began) for build_id, one in self._running.items()}
        return slots_of(self._settings.builds_at_once, running, self._clock.steady())

    def _places(self) -> tuple[Place, ...]:
        """Played through again when something has changed, and every second: many may ask."""
        now = self._clock.steady()
        changes, at, found = self._played
        if changes != self._room.changes or now - at >= LEAST_SECONDS:
            found = self._room.places(self._slots(), self._clock.now())
            self._played = (self._room.changes, now, found)
        return found

    def _with_place(self, status: BuildStatus) -> BuildStatus:
        if status.state is not BuildState.QUEUED or status.build_id in self._running:
            return status
        place = next((place for place in self._places() if place.build_id == status.build_id), None)
        return status if place is None else self._waiting(status.build_id, place)

    def _waiting(self, build_id: str, place: Place) -> BuildStatus:
        short = place.position == 1 and self._short_since is not None
        phase = short_of_memory(self._memory, self.available_memory()) if short else "Waiting"
        wait = round(place.wait_seconds, 1)
        return BuildStatus(build_id=build_id, state=BuildState.QUEUED, phase=phase, position=place.position, wait_seconds=wait)

    def _pump(self) -> None:
        """Start builds while there are slots and memory."""
        if self._look is not None:
            self._look.cancel()
            self._look = None
        while not self._closing and (ticket := self._room.next(self._slots(), self._clock.now())) is not None:
            memory = self._granted()
            if not memory:
                self._look = asyncio.get_running_loop().call_later(LOOK_FOR_MEMORY_SECONDS, self._pump)
                break
            self._begin(ticket, memory)
        if not len(self._room):
            self._short_since = None
        if not self._closing:
            self._announcer.changed()

    def _granted(self) -> int:
        """Bytes that the next build may take now, 0 when it has to wait for memory."""
        now = self._clock.steady()
        promised = sum(one.memory for one in self._running.values())
        waited = now - self._short_since if self._short_since is not None else 0.0
        memory = granted(self._memory, self.available_memory(), promised, waited)
        if memory:
            self._short_since = None
        elif self._short_since is None:
            self._short_since = now
        return memory

    def _begin(self, ticket: Ticket, memory: int) -> None:
        assert self._shop is not None, "open() first"
        request = self._requests[ticket.build_id]
        self._room.begin(ticket, self._clock.now())
        desk = Desk(self._shop, self._store, self._tell)
        try:
            attempt = Attempt(desk, request, build_limits(memory), lowered=memory < self._memory)
        except OSError:
            logger.exception("build.folder_gone", extra={"build": ticket.build_id})
            del self._requests[ticket.build_id]
            return
        task = asyncio.create_task(self._run(ticket, attempt), name=f"build {ticket.build_id}")
        self._running[ticket.build_id] = Running(ticket, attempt, self._clock.steady(), memory, task)

    async def _run(self, ticket: Ticket, attempt: Attempt) -> None:
        request = self._requests[ticket.build_id]
        try:
            if request.site_id in self._trims:
                await asyncio.shield(self._trims[request.site_id])
            ended = await attempt.run()
            with contextlib.suppress(OSError):
                self._store.set_work_aside(ticket.build_id)
            await self._finish(ended)
            if ended.state is BuildState.SUCCEEDED:
                self._room.learn(request, ended.finished_at - ended.started_at)
        finally:
            running = self._running.pop(ticket.build_id)
            self._room.end(ticket, self._clock.steady() - running.began)
            if not self._closing:
                self._later(self._tidy(request))
            self._pump()

    async def _tidy(self, request: BuildRequest) -> None:
        """What nobody has to wait for: working folders, and caches that have grown too large."""
        await asyncio.to_thread(self._room.save)
        with contextlib.suppress(OSError):
            await asyncio.to_thread(self._store.clear_work, request.build_id)
        site = request.site_id
        if not self._is_built(site) and site not in self._trims:
            folder, limit = self._settings.paths.caches / site, self._settings.build_cache_mb * MIB
            self._trims[site] = asyncio.ensure_future(asyncio.to_thread(caches.trim, folder, limit))
            try:
                await self._trims[site]
            finally:
                del self._trims[site]

    def _is_built(self, site_id: str) -> bool:
        return any(one.ticket.site == site_id for one in self._running.values())

    async def _finish(self, status: BuildStatus) -> BuildStatus:
        request = self._requests.pop(status.build_id, None)
        try:
            await asyncio.to_thread(self._store.put, status)
            if request is not None:
                await asyncio.to_thread(self._store.forget_values, request)
        except OSError:
            logger.exception("build.end_not_kept", extra={"build": status.build_id})
            # A success that is forgotten would be built once more, over the folder that visitors are served from.
            status = self._unsaved[status.build_id] = disk_full(status)
        await self._tell(status)
        return status

    def _say(self, request: BuildRequest, text: str) -> None:
        log = BuildLog(self._store.log_path(request.build_id), self._clock)
        log.say(text)
        log.close()

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _tell(self, status: BuildStatus) -> None:
        """Reports make it fast; whoever asks ``status`` learns the same. So a bus that does not answer does not stop a build."""
        try:
            await self._notify(status)
        except SitewrightError as error:
            logger.warning("build.report_lost", extra={"build": status.build_id, "reason": str(error)})
