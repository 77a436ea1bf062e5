"""Where one build's commands run: each a job of the engine, as the site's user, beneath limits and one deadline for all."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sitewright.builder.advice import explain
from sitewright.builder.log import BuildLog
from sitewright.builder.open_box import MAX_CAPTURED, OpenBox
from sitewright.builder.packs.base import Step
from sitewright.builder.tools import TOOLS_TARGET
from sitewright.domain.identity import new_id
from sitewright.domain.limits import BUILD_LIMITS, MIB, Limits
from sitewright.engines.base import APP_DIRECTORY, CACHE_DIRECTORY, Engine, JobResult, JobSpec, Mount, Sandboxed
from sitewright.errors import BuildError, QuotaError, SitewrightError
from sitewright.system.accounts import is_root
from sitewright.system.clock import Clock
from sitewright.system.disk import nameless, occupied

MEASURE_EVERY_SECONDS = 3.0
SLACK_FACTOR = 3
"""While it runs, a build's tree may be this many times the quota: compilers and package managers need room that they free again."""
MOST_TREE_BYTES = 8 * 1024**3
"""Of a build's tree where no quota is set, and at most where one is."""
MOST_CACHE_BYTES = 3 * 1024**3
LEAST_WATCHED_BYTES = 64 * 1024**2
"""Below that nothing is ended while it runs: the finished tree is counted anyway."""

PLAIN_ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}  # noqa: S108 - the sandbox's own
"""For the platform's own scripts, whose answers count: nothing of the tenant's variables."""

Subscribe = Callable[[str, Callable[[bytes], None]], Callable[[], None]]
"""Hand a job's output to a function; returns what ends that."""


class BuildCancelledError(SitewrightError):
    """The build was cancelled."""

    code = "cancelled"


class StepFailedError(BuildError):
    """A command of the build failed."""

    def __init__(self, step: Step, message: str, *, details: str, resolution: str) -> None:
        super().__init__(message, details=details, resolution=resolution)
        self.step = step


@dataclass(frozen=True, slots=True)
class BenchSpec:
    """What stays the same over all commands of a build. ``deadline`` is steady time in seconds."""

    uid: int
    tools: Path
    cache: Path
    env: tuple[tuple[str, str], ...]
    deadline: float
    quota_bytes: int
    limits: Limits = BUILD_LIMITS
    cache_bytes: int = MOST_CACHE_BYTES
    """The caches may take this much while the build runs; how much of them is kept is decided when it has ended."""


class Bench:
    """Runs steps one after the other."""

    def __init__(self, engine: Engine, clock: Clock, subscribe: Subscribe, spec: BenchSpec, log: BuildLog) -> None:
        self._engine = engine
        self._clock = clock
        self._subscribe = subscribe
        self._spec = spec
        self.log = log
        self.cancelled = asyncio.Event()

    async def run(self, step: Step, tree: Path, *, mounts: tuple[Mount, ...] = (), env: tuple[tuple[str, str], ...] = ()) -> None:
        """Run a step with its output in the log. Raises StepFailedError, QuotaError, BuildCancelledError."""
        self.log.say(f"{step.title} …" if step.network else step.title)
        self.log.tail.clear()
        variables = {**dict(self._spec.env), **dict(env), **dict(step.env)}
        result = await self._job(step, tree, (self._cache_mount(), *mounts), variables, self.log.feed)
        self.log.flush()
        if result.exit.code != 0:
            raise self._failure(step, result)
        if result.seconds >= 1:
            self.log.say(f"Done in {result.seconds:.1f} s.")

    async def ask(self, step: Step, tree: Path, *, mounts: tuple[Mount, ...] = ()) -> str:
        """Run one of the platform's own scripts and return its output. Raises like ``run``."""
        captured = bytearray()

        def collect(data: bytes) -> None:
            if len(captured) < MAX_CAPTURED:
                captured.extend(data)

        result = await self._job(step, tree, mounts, {**PLAIN_ENV, **dict(step.env)}, collect)
        self._check(step, result, bytes(captured))
        return captured.decode("utf-8", "replace")

    def begin(self, step: Step, tree: Path, told: Path, *, mounts: tuple[Mount, ...] = ()) -> OpenBox:
        """Start one of the platform's own scripts that waits for more after its first line: it reads that from a pipe in *told*, which
        one of *mounts* shows it. Close it."""
        variables = {**PLAIN_ENV, **dict(step.env)}
        return OpenBox(
            told,
            self._spec.uid,
            lambda sink: self._job(step, tree, mounts, variables, sink),
            lambda result, said: self._check(step, result, said),
        )

    def _check(self, step: Step, result: JobResult, said: bytes) -> None:
        if result.exit.code != 0:
            self.log.tail.clear()
            self.log.feed(said)
            self.log.flush()
            raise self._failure(step, result)

    def _cache_mount(self) -> Mount:
        return Mount(self._spec.cache, CACHE_DIRECTORY, writable=True)

    async def _job(
        self, step: Step, tree: Path, mounts: tuple[Mount, ...], variables: dict[str, str], sink: Callable[[bytes], None]
    ) -> JobResult:
        self.check_cancelled()
        box = Sandboxed(
            uid=self._spec.uid,
            command=shlex.join(step.argv),
            env=tuple(sorted(variables.items())),
            mounts=(Mount(tree, APP_DIRECTORY, writable=True), Mount(self._spec.tools, TOOLS_TARGET), *mounts),
            limits=self._spec.limits,
            network=step.network,
        )
        remaining = self._spec.deadline - self._clock.steady()
        if remaining <= 0:
            raise self._too_slow(step)
        job = JobSpec(id=new_id(), box=box, timeout_seconds=remaining)
        outgrown = asyncio.Event()
        unsubscribe = self._subscribe(job.id, sink)
        stop = asyncio.ensure_future(self._until_stopped(outgrown))
        watch = asyncio.ensure_future(self._watch_size(tree, outgrown))
        try:
            result = await self._engine.run(job, stop)
        finally:
            unsubscribe()
            stop.cancel()
            watch.cancel()
        self.check_cancelled()
        if outgrown.is_set():
            raise self.over_quota()
        if result.timed_out:
            raise self._too_slow(step)
        return result

    async def _until_stopped(self, outgrown: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(self.cancelled.wait()), asyncio.ensure_future(outgrown.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()

    async def _watch_size(self, tree: Path, outgrown: asyncio.Event) -> None:
        """A build that fills the disk is ended before it has."""
        limit = max(min(self._spec.quota_bytes * SLACK_FACTOR or MOST_TREE_BYTES, MOST_TREE_BYTES), LEAST_WATCHED_BYTES)
        while not outgrown.is_set():
            await asyncio.sleep(MEASURE_EVERY_SECONDS)
            if await asyncio.to_thread(self._too_large, tree, limit):
                outgrown.set()

    def _too_large(self, tree: Path, limit: int) -> bool:
        if occupied(self._spec.cache, self._spec.cache_bytes) > self._spec.cache_bytes:
            return True
        hidden = nameless(tree.stat().st_dev).get(self._spec.uid, 0) if is_root() else 0
        return hidden + occupied(tree, limit) > limit

    def check_cancelled(self) -> None:
        """Raises BuildCancelledError once somebody has cancelled the build."""
        if self.cancelled.is_set():
            raise BuildCancelledError

    def over_quota(self) -> QuotaError:
        """The error for a tree that is too large."""
        return QuotaError(
            f"The site is larger than the {(self._spec.quota_bytes or MOST_TREE_BYTES) // 1_000_000} MB that it may use.",
            details="The previous release keeps running.",
            resolution="Leave out large files and packages that are not needed, or ask for more room.",
        )

    def _too_slow(self, step: Step) -> BuildError:
        return BuildError(
            "The build took too long and was ended.",
            details=f"It was at: {step.title}.",
            resolution="Build on your machine and deploy the result, or make the build smaller.",
        )

    def _failure(self, step: Step, result: JobResult) -> StepFailedError:
        lines = [line for line in self.log.tail if line.strip()]
        tail = "\n".join(lines[-12:])[-2000:]
        known = explain(lines)
        if result.exit.out_of_memory:
            return self._too_much_memory(step, tail)
        if known is not None:
            return StepFailedError(step, known.message, details=tail, resolution=known.resolution)
        message = f"{step.title} failed ({result.exit.in_words(self._spec.limits)})."
        return StepFailedError(
            step, message, details=tail, resolution=step.advice or "Read the last lines of the log, correct the cause, deploy again."
        )

    def _too_much_memory(self, step: Step, tail: str) -> StepFailedError:
        limit = self._spec.limits.memory_bytes // MIB
        message = f"{step.title}: it was ended because it needed more than the {limit} MB of memory that a build may take."
        advice = "Make the build smaller, or build on your machine and deploy the result; whoever runs this platform can allow more memory."
        return StepFailedError(step, message, details=tail, resolution=advice)
