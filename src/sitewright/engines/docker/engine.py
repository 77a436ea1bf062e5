"""The docker engine: the contract of engines/base.py on one Docker Engine of this machine.

The daemon is the memory: names make starting twice impossible, labels say what is ours and what it was told to run, so nothing has to
be kept here. What is remembered in this object only saves questions.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from sitewright.commands.docker_config import (
    INSTANCE_LABEL,
    JOB_LABEL,
    PLATFORM_LABEL,
    container_name,
)
from sitewright.config.settings import Settings
from sitewright.domain.processes import Listen
from sitewright.engines.base import (
    Conversation,
    EngineInfo,
    EngineState,
    ExecSession,
    InstanceSpec,
    JobResult,
    JobSpec,
    LogSink,
    Observed,
    Stats,
    TerminalSize,
)
from sitewright.engines.docker import sockets
from sitewright.engines.docker.boxes import Base
from sitewright.engines.docker.capabilities import capabilities
from sitewright.engines.docker.conversation import open_conversation
from sitewright.engines.docker.daemon import CONFLICT, Daemon, DaemonError
from sitewright.engines.docker.execs import DockerExec, start_exec
from sitewright.engines.docker.image import ensure_image, host_binds
from sitewright.engines.docker.images import DockerImages
from sitewright.engines.docker.jobs import run_container
from sitewright.engines.docker.logs import Follower
from sitewright.engines.docker.networks import Networks, close_private_ranges, forget_rules, label_filter
from sitewright.engines.docker.starting import Starter
from sitewright.engines.docker.views import observed_from, stats_from
from sitewright.engines.environment import has_extra_authorities
from sitewright.errors import EngineError
from sitewright.system.accounts import is_root
from sitewright.system.clock import Clock
from sitewright.system.processes import CommandFailedError, Runner, SystemRunner

EXIT_SECONDS = 30.0
"""How long a killed container may take to be gone."""
DRAIN_SECONDS = 3.0
log = logging.getLogger(__name__)


class DockerEngine:
    """See ``Engine``. *runner* runs nft and ip; the daemon is only spoken to over its socket."""

    def __init__(self, settings: Settings, clock: Clock, runner: Runner | None = None) -> None:
        self._settings = settings
        self._paths = settings.paths
        self._clock = clock
        self._runner: Runner = runner or SystemRunner()
        self._tag = self._paths.tag
        self._daemon = Daemon(settings.docker_host)
        self._networks = Networks(self._daemon, self._tag)
        self.images = DockerImages(self._daemon, self._networks, self._tag)
        self._starter: Starter | None = None
        self._sink: LogSink = _nowhere
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._followers: dict[str, asyncio.Task[None]] = {}
        self._specs: dict[str, InstanceSpec] = {}
        self._ended: dict[str, Observed] = {}
        self._sessions: set[DockerExec] = set()

    # --- open and close ---

    async def open(self, sink: LogSink) -> EngineInfo:
        """Find the daemon, make the base image, close private ranges, re-adopt what runs. Raises EngineError."""
        try:
            return await self._open(sink)
        except BaseException:
            await self.close()
            raise

    async def _open(self, sink: LogSink) -> EngineInfo:
        self._sink = sink
        info = await self._daemon.ask("GET", "info")
        problem = await self._close_private_ranges()
        accounts = self._paths.run / "docker"
        accounts.mkdir(parents=True, exist_ok=True)
        self._paths.instances.mkdir(parents=True, exist_ok=True)
        base = Base(self._tag, await ensure_image(self._daemon, self._tag), host_binds(), accounts, has_extra_authorities())
        self._starter = Starter(self._daemon, self._networks, base)
        await self._remove_leftovers()
        for seen in await self.observe():
            self._follow(seen.spec)
        return EngineInfo("docker", capabilities(info, problem))

    async def _close_private_ranges(self) -> str:
        if not is_root():
            return "Only root may close private ranges: sites can reach this machine's services and its network."
        try:
            await close_private_ranges(self._runner, self._tag, self._daemon.process(), self._settings.extra_egress)
        except (CommandFailedError, OSError) as error:
            log.warning("docker_egress_open", extra={"details": str(error)})
            return f"Private ranges are not closed: {error}"
        return ""

    async def _remove_leftovers(self) -> None:
        """Jobs whose asker has died, and containers that were made but never started."""
        query = {"all": "1", **label_filter(f"{PLATFORM_LABEL}={self._tag}")}
        for listed in await self._daemon.ask("GET", "containers/json", params=query):
            if not self._is_ours(listed, INSTANCE_LABEL, JOB_LABEL):
                continue
            if JOB_LABEL in listed["Labels"] or listed["State"] == "created":
                await self._daemon.ask_leniently("DELETE", f"containers/{listed['Id']}", params={"force": "1", "v": "1"})
        await self._networks.release_unused()

    async def close(self) -> None:
        """Let go of everything without ending it. When nothing is held any more, its rules go too."""
        tasks = list(self._followers.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._followers.clear()
        for session in self._sessions:
            session.close()
        if self._starter is not None:
            with contextlib.suppress(DaemonError, CommandFailedError, OSError):
                if is_root() and not await self.observe():
                    await forget_rules(self._runner, self._tag, self._daemon.process())
        self._starter = None
        await self._daemon.close()

    async def dismantle(self) -> None:
        """End everything and take back what was changed on this machine: containers, networks, rules, the base image."""
        for seen in await self.observe():
            await self.stop(seen.spec.id, 0)
            await self.remove(seen.spec.id)
        await self._daemon.ask_leniently("DELETE", f"images/{self._ready.base.image}")
        await self.close()

    # --- instances ---

    async def start(self, spec: InstanceSpec) -> bool:
        """Make and start its container; hand its socket over. Nobody adopts here. Raises EngineError, and then nothing of it is left."""
        async with self._locks[spec.id]:
            if await self._inspect(spec.id) is None:
                await self._ready.start(spec)
                self._follow(spec)
        return False

    async def prepare(self, spec: InstanceSpec) -> bool:  # noqa: ARG002 - the contract's shape
        """Nothing: a container runs its command as soon as it is there."""
        return False

    async def discard(self, instance_id: str) -> None:
        """Nothing, as nothing is made ahead."""

    async def stop(self, instance_id: str, grace_seconds: float) -> None:
        """TERM, at most the grace, KILL. A frozen one is thawed so that it hears the TERM. Raises EngineError when it does not end."""
        seen = await self._inspect(instance_id)
        if seen is None or not seen["State"]["Running"]:
            return
        path = f"containers/{seen['Id']}"
        if seen["State"]["Paused"]:
            await self._daemon.ask_leniently("POST", f"{path}/unpause")
        for signal_name, seconds in (("SIGTERM", grace_seconds), ("SIGKILL", EXIT_SECONDS)):
            if seconds > 0:
                await self._daemon.ask_leniently("POST", f"{path}/kill", params={"signal": signal_name})
                if await self._ends_within(path, seconds):
                    return
        raise EngineError("The instance could not be ended.", details=f"It still runs {EXIT_SECONDS:.0f} s after SIGKILL.")

    async def _ends_within(self, path: str, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._daemon.ask("POST", f"{path}/wait", timeout=None)
        except TimeoutError:
            return False
        return True

    async def freeze(self, instance_id: str) -> None:
        """Pause it. Raises EngineError when it is not running."""
        await self._pause(instance_id, "pause", paused=True)

    async def thaw(self, instance_id: str) -> None:
        """Unpause it. Raises EngineError when it is not running."""
        await self._pause(instance_id, "unpause", paused=False)

    async def _pause(self, instance_id: str, verb: str, *, paused: bool) -> None:
        async with self._locks[instance_id]:
            seen = await self._running(instance_id)
            if seen["State"]["Paused"] != paused:
                await self._daemon.ask("POST", f"containers/{seen['Id']}/{verb}")

    async def observe(self) -> tuple[Observed, ...]:
        """Every instance container of this platform, ordered by id. Raises EngineError when the daemon does not answer."""
        query = {"all": "1", **label_filter(f"{PLATFORM_LABEL}={self._tag}", INSTANCE_LABEL)}
        found = []
        for listed in await self._daemon.ask("GET", "containers/json", params=query):
            if not self._is_ours(listed, INSTANCE_LABEL):
                continue
            seen = self._ended.get(listed["Id"]) or await self._observe_one(listed["Id"])
            if seen is not None:
                found.append(seen)
        return tuple(sorted(found, key=lambda seen: seen.spec.id))

    async def _observe_one(self, container: str) -> Observed | None:
        inspected = await self._daemon.find(f"containers/{container}/json")
        if inspected is None or self._is_in_the_making(inspected):
            return None
        try:
            seen = observed_from(inspected)
        except (ValueError, KeyError, TypeError) as error:
            log.warning("docker_container_unreadable", extra={"container": container, "details": str(error)})
            return None
        self._specs[seen.spec.id] = seen.spec
        if seen.state is EngineState.EXITED and seen.exit is not None and seen.exit.code >= 0:
            self._ended[container] = seen
        return seen

    def _is_ours(self, listed: dict[str, Any], *labels: str) -> bool:
        """By its name, which only the platform gives: a tenant's image may carry any label."""
        identities = (listed["Labels"].get(label) for label in labels)
        return any(f"/{self._name(identity)}" in listed["Names"] for identity in identities if identity)

    def _is_in_the_making(self, inspected: dict[str, Any]) -> bool:
        lock = self._locks.get(inspected["Config"]["Labels"].get(INSTANCE_LABEL, ""))
        return inspected["State"]["Status"] == "created" and lock is not None and lock.locked()

    async def remove(self, instance_id: str) -> None:
        """Remove its container, folder and, when it was the last of its tenant, network. Raises EngineError while it runs."""
        async with self._locks[instance_id]:
            seen = await self._inspect(instance_id)
            if seen is not None:
                if seen["State"]["Running"]:
                    raise EngineError("A running instance cannot be removed.", resolution="Stop it first.")
                await self._finish_following(instance_id)
                await self._daemon.ask_leniently("DELETE", f"containers/{seen['Id']}", params={"force": "1", "v": "1"})
                self._ended.pop(seen["Id"], None)
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    spec = observed_from(seen).spec
                    sockets.clear(spec.socket)
                    await self._networks.release(spec.box.uid)
            self._specs.pop(instance_id, None)
        self._locks.pop(instance_id, None)

    async def listening(self, instance_id: str) -> bool:
        """Whether the app itself accepts connections; also links a socket that the app has made to where the router connects."""
        seen = await self._inspect(instance_id)
        if seen is None or not seen["State"]["Running"] or seen["State"]["Paused"]:
            return False
        spec = observed_from(seen).spec
        if spec.listen is Listen.NONE or not sockets.publish(spec):
            return False
        if spec.listen is Listen.PORT:
            return await asyncio.to_thread(sockets.port_is_open, int(seen["State"]["Pid"]), spec.port)
        return await sockets.connects(spec.socket)

    async def stats(self, instance_id: str) -> Stats:
        """What it uses now; zeros when it is not running."""
        try:
            seen = await self._daemon.ask("GET", f"containers/{self._name(instance_id)}/stats", params={"stream": "0", "one-shot": "1"})
        except DaemonError as error:
            if error.status:
                return Stats()
            raise
        return stats_from(seen)

    async def exec(
        self,
        instance_id: str,
        argv: tuple[str, ...],
        terminal: TerminalSize | None,
        *,
        apart: bool = False,  # noqa: ARG002 - here it is part of the output
    ) -> ExecSession:
        """Run *argv* beside it, as the tenant. Raises EngineError when it is not running or frozen."""
        seen = await self._running(instance_id)
        if seen["State"]["Paused"]:
            raise EngineError("The instance is frozen.", resolution="Thaw it first.")
        user, workdir = seen["Config"]["User"], seen["Config"]["WorkingDir"]
        session = await start_exec(self._daemon, seen["Id"], argv, user=user, workdir=workdir, terminal=terminal)
        self._sessions = {known for known in self._sessions if not known.closed} | {session}
        return session

    async def run(self, job: JobSpec, cancelled: Awaitable[None] | None = None) -> JobResult:
        """Run a job in a container of its own. Raises EngineError."""
        try:
            name, rate = await self._ready.make_job(job), job.box.limits.log_bytes_per_second
            follower = Follower(self._daemon, name, job.id, sink=self._sink, rate=rate, clock=self._clock)
            return await run_container(self._daemon, name, job, follower=follower, clock=self._clock, cancelled=cancelled)
        except DaemonError as error:
            if error.status == CONFLICT:
                raise EngineError("This job is running already.", details=error.details) from error
            raise
        finally:
            with contextlib.suppress(DaemonError):
                await self._networks.release(job.box.uid)

    async def converse(self, job: JobSpec) -> Conversation:
        """Start a job in a container of its own, with its input and output. Raises EngineError."""

        async def free() -> None:
            with contextlib.suppress(DaemonError):
                await self._networks.release(job.box.uid)

        return await open_conversation(self._daemon, await self._ready.make_conversation(job), job.timeout_seconds, free)

    # --- what they share ---

    @property
    def _ready(self) -> Starter:
        if self._starter is None:
            raise EngineError("The docker engine was not opened.")
        return self._starter

    def _name(self, identity: str) -> str:
        return container_name(self._tag, identity)

    async def _inspect(self, instance_id: str) -> Any:
        """What the daemon says of an instance's container; None when there is none of ours."""
        seen = await self._daemon.find(f"containers/{self._name(instance_id)}/json")
        return seen if seen and seen["Config"]["Labels"].get(INSTANCE_LABEL) == instance_id else None

    async def _running(self, instance_id: str) -> Any:
        seen = await self._inspect(instance_id)
        if seen is None or not seen["State"]["Running"]:
            raise EngineError("The instance is not running.")
        return seen

    def _follow(self, spec: InstanceSpec) -> None:
        rate = spec.box.limits.log_bytes_per_second
        follower = Follower(self._daemon, self._name(spec.id), spec.id, sink=self._sink, rate=rate, clock=self._clock)
        follower.resume_from(Path(spec.socket).with_name("log"))
        self._followers[spec.id] = asyncio.create_task(follower.run(), name=f"docker log {spec.id}")

    async def _finish_following(self, instance_id: str) -> None:
        task = self._followers.pop(instance_id, None)
        if task is not None:
            with contextlib.suppress(TimeoutError, Exception):
                await asyncio.wait_for(task, DRAIN_SECONDS)


def _nowhere(_identity: str, _output: bytes) -> None:
    """Before ``open`` there is nobody to tell."""
