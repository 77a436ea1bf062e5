"""The contract every engine keeps: start, stop, freeze, thaw, observe, exec, run, converse, logs, stats.

Rules that the contract suite checks:

* ``start`` and ``stop`` are idempotent by instance id; what is asked for twice happens once.
* ``observe`` is the truth: it lists everything that this engine holds, also what was started by a process that has since died.
  An instance that is listed as exited stays listed until ``remove``.
* An engine never touches what it did not start (foreign containers, other platforms' sandboxes on the same machine).
* ``close`` leaves instances running; a new engine object on the same run folder finds them all again.
* ``prepare`` changes nothing that can be seen: started from a prepared one or not, an instance is the same.
* Errors that a tenant caused come back as values (``Exit``); errors of the engine raise ``EngineError``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from sitewright.domain.limits import Limits
from sitewright.domain.processes import Listen

LogSink = Callable[[str, bytes], None]
"""Called with (instance or job id, raw output bytes) in order, on the event loop. Must not block; slicing into lines is the receiver's
work."""

APP_DIRECTORY = "/app"
"""Where the tree appears inside; builds and instances see the same path, so virtual environments stay valid."""
DATA_DIRECTORY = "/data"
"""The channel's own files that outlive releases; $SITEWRIGHT_DATA inside."""
CACHE_DIRECTORY = "/cache"
"""Only in builds: the site's own build cache."""
SOCKET_PATH = "/run/sitewright/web.sock"
"""$SOCKET inside. On the host it is ``InstanceSpec.socket``."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder of the host made visible inside. Only the orchestrator and the builder name mounts, tenants never do."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Sandboxed:
    """What instances, jobs and terminals have in common."""

    uid: int
    command: str
    """A line for /bin/sh -c, run inside only, as the tenant."""
    env: tuple[tuple[str, str], ...]
    mounts: tuple[Mount, ...]
    limits: Limits
    network: bool = True
    """Outbound internet and DNS; False is no network at all. The host, the bus, other sites and private ranges are out of reach in both."""
    stack: str = "host"
    """Which base it runs on: "host" is the machine's own read-only /usr; the docker engine maps a stack to an image."""
    workdir: str = APP_DIRECTORY


@dataclass(frozen=True, slots=True)
class InstanceSpec:
    """What to run as one instance. ``socket`` is the path on the host that the router connects to; the engine makes it."""

    id: str
    channel_id: str
    site_id: str
    process: str
    digest: str
    """Fingerprint of release, environment, limits and restart counter; two instances with one digest are interchangeable."""
    release_id: str
    box: Sandboxed
    listen: Listen
    socket: Path
    port: int = 8000
    """$PORT inside; private to the instance's own network."""
    stop_grace_seconds: float = 10.0
    warm: tuple[str, ...] = ()
    """ProcessSpec.warm: an engine that can may begin it from a parent that has imported the server; others run the command."""
    adopts: bool = False
    """ProcessSpec.adopts: an engine that can hands it the listening socket, and puts a relay before its port only if it opens one."""


class EngineState(StrEnum):
    """What an engine can see of an instance; readiness is the orchestrator's finding, not the engine's."""

    RUNNING = "running"
    FROZEN = "frozen"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class Exit:
    """How it ended. ``code`` is 0–255 (128+n for signal n), -1 when nobody saw it. ``out_of_memory``: the limit killed it."""

    code: int
    out_of_memory: bool = False

    def in_words(self, limits: Limits) -> str:
        """For the owner: «used 256 MB of 256 MB» rather than «137»."""
        if self.out_of_memory:
            mib = limits.memory_bytes // (1024 * 1024)
            return f"killed: used {mib} MB of {mib} MB"
        if self.code < 0:
            return "ended while nobody was watching"
        if self.code > 128:
            return f"ended by signal {self.code - 128}"
        return f"exited with code {self.code}"


@dataclass(frozen=True, slots=True)
class Observed:
    """One instance as the engine sees it now. ``started_at`` is seconds since the epoch."""

    spec: InstanceSpec
    state: EngineState
    started_at: float
    exit: Exit | None = None
    pid: int = 0
    """A process inside, as the host numbers it; 0 when there is none or it is not on this host."""
    memory_kills: int = 0
    """How many of its processes the memory limit has killed so far while it went on; 0 where the engine cannot tell."""
    adopting: bool = False
    """It was handed the listening socket because it adopts: requests wait there until it, or a relay, takes them."""


@dataclass(frozen=True, slots=True)
class Stats:
    """Use so far: memory now in bytes, CPU in seconds, processes now; and how often limits held it back, counted from its start (0 where
    the engine cannot tell)."""

    memory_bytes: int = 0
    cpu_seconds: float = 0.0
    pids: int = 0
    cpu_periods: int = 0
    """Periods of the CPU limit in which it wanted to run, and how many of them it was stopped in because it had used up its share."""
    cpu_throttled: int = 0
    forks_refused: int = 0
    """Processes and threads that it could not start because of the limit of pids."""
    dropped_bytes: int = 0
    """Output that was thrown away because of the limit of the log rate, since this engine object opened."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A command that runs to its end: a build, a release command, a one-off."""

    id: str
    box: Sandboxed
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class JobResult:
    """How a job ended. ``timed_out`` and ``cancelled`` jobs were killed with everything they had started."""

    exit: Exit
    seconds: float
    timed_out: bool = False
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class TerminalSize:
    """Of a terminal, in characters."""

    rows: int = 24
    columns: int = 80


class ExecSession(Protocol):
    """A command running beside an instance (same files, network, limits, processes), with its input and output."""

    async def read(self) -> bytes:
        """The next output, up to 64 KiB; b"" once it has ended and all was read."""
        ...

    async def read_error(self) -> bytes:
        """The next of its standard error, up to 64 KiB; b"" once it has ended and all was read, or at once when that is not apart."""
        ...

    async def write(self, data: bytes) -> None:
        """Give it input; b"" closes its input."""
        ...

    async def resize(self, size: TerminalSize) -> None:
        """Tell it the terminal's new size; nothing happens without a terminal."""
        ...

    async def wait(self) -> Exit:
        """Wait until it has ended."""
        ...

    async def kill(self) -> None:
        """End it and everything it started, at once. Safe to call twice."""
        ...


class Conversation(ExecSession, Protocol):
    """A job whose input and output are streams of bytes. It ends with the engine; ``kill`` it when nobody listens any more."""

    async def read_error(self) -> bytes:
        """The next of its standard error, up to 64 KiB; b"" once it has ended and all was read."""
        ...


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing this engine does on this machine, or does not, and what that means. ``doctor`` prints them."""

    name: str
    ok: bool
    note: str = ""
    resolution: str = ""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine says of itself."""

    name: str
    capabilities: tuple[Capability, ...] = field(default=())


class Engine(Protocol):
    """Runs instances on this node. Methods may be called concurrently for different instances."""

    async def open(self, sink: LogSink) -> EngineInfo:
        """Get ready; re-adopt what runs already and feed its output to *sink*. Raises EngineError when it cannot work here."""
        ...

    async def close(self) -> None:
        """Let go of everything without ending it."""
        ...

    async def start(self, spec: InstanceSpec) -> bool:
        """Start it; returns when it was started, not when it is ready: whether it is ``Observed.adopting``. Nothing happens if that id
        exists. Raises EngineError."""
        ...

    async def prepare(self, spec: InstanceSpec) -> bool:
        """Make everything of it ahead but what it runs, so that ``start`` of an equal spec has less to do; whether that was done.

        Not a byte of the tenant's runs, and nothing waits with the tenant's variables in it. It is not observed; it ends with the engine;
        ``start`` and ``discard`` end it. Only engines that can do so; it never raises because one cannot."""
        ...

    async def discard(self, instance_id: str) -> None:
        """Take back what was prepared under that id. Unknown ones, and those that were started, are fine."""
        ...

    async def stop(self, instance_id: str, grace_seconds: float) -> None:
        """TERM, wait at most the grace, KILL; returns when every process has exited. Works on frozen ones. Unknown ids are fine."""
        ...

    async def freeze(self, instance_id: str) -> None:
        """Stop its clock without ending it. Nothing happens if it is frozen."""
        ...

    async def thaw(self, instance_id: str) -> None:
        """Let it go on. Nothing happens if it is running."""
        ...

    async def observe(self) -> tuple[Observed, ...]:
        """Everything this engine holds, ordered by id."""
        ...

    async def remove(self, instance_id: str) -> None:
        """Forget an exited instance and free what it held (socket, network, control groups). Raises EngineError while it runs."""
        ...

    async def listening(self, instance_id: str) -> bool:
        """Whether the app itself (not the relay in front of it) accepts connections on its port, path or descriptor."""
        ...

    async def stats(self, instance_id: str) -> Stats:
        """What it uses; zeros for an unknown or exited one."""
        ...

    async def exec(self, instance_id: str, argv: tuple[str, ...], terminal: TerminalSize | None, *, apart: bool = False) -> ExecSession:
        """Run *argv* beside the running instance. Raises EngineError when it is not running.

        *apart*: without a terminal, its standard error is a stream of its own where the engine can; else it is part of the output.
        """
        ...

    async def run(self, job: JobSpec, cancelled: Awaitable[None] | None = None) -> JobResult:
        """Run a job to its end; output goes to the sink under the job's id. *cancelled* completing kills it."""
        ...

    async def converse(self, job: JobSpec) -> Conversation:
        """Start a job with its input and output in our hands; nothing goes to the sink. After its time it is killed. Raises EngineError."""
        ...
