"""An engine without processes: instances are entries in a dictionary, and tests decide what happens to them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sitewright.engines.base import (
    Capability,
    EngineInfo,
    EngineState,
    Exit,
    InstanceSpec,
    JobResult,
    JobSpec,
    LogSink,
    Observed,
    Stats,
    TerminalSize,
)
from sitewright.errors import EngineError
from sitewright.system.clock import Clock, SystemClock

JobScript = Callable[[JobSpec], JobResult]


@dataclass(slots=True)
class _Held:
    spec: InstanceSpec
    started_at: float
    frozen: bool = False
    exit: Exit | None = None
    listens: bool = True
    memory_kills: int = 0


@dataclass
class World:
    """What outlives the engine object, as a machine outlives a daemon. Give one world to two engines to play a restart."""

    held: dict[str, _Held] = field(default_factory=dict)
    prepared: dict[str, InstanceSpec] = field(default_factory=dict)
    """What was made ahead, as long as the engine object lives that made it."""
    stats: dict[str, Stats] = field(default_factory=dict)
    """What an instance is said to use, where a test says it."""


class MemoryEngine:
    """Keeps the contract of ``Engine`` without running anything.

    Tests steer it: ``crash``, ``exhaust_memory``, ``silence`` act on a running instance; ``deaf``, ``refuse`` and ``jobs`` decide
    what happens to those still to come. ``calls`` lists what was asked, in order.
    """

    def __init__(self, clock: Clock | None = None, world: World | None = None) -> None:
        self.clock = clock or SystemClock()
        self.world = world or World()
        self.calls: list[tuple[str, str]] = []
        self.deaf: set[str] = set()
        """Process types that never listen."""
        self.refuse: set[str] = set()
        """Process types that the engine fails to start."""
        self.prepares = True
        """Whether it can make anything ahead."""
        self.jobs: JobScript = lambda _job: JobResult(Exit(0), 0.0)
        self._sink: LogSink = lambda _instance_id, _data: None

    # --- steering ---
    def crash(self, instance_id: str, code: int = 1) -> None:
        """The app ends by itself."""
        held = self.world.held[instance_id]
        if held.exit is None:
            held.exit, held.frozen = Exit(code), False

    def exhaust_memory(self, instance_id: str) -> None:
        """The memory limit kills the app."""
        self.world.held[instance_id].exit = Exit(137, out_of_memory=True)

    def silence(self, instance_id: str, *, listens: bool = False) -> None:
        """The app lives but accepts no connections (or does again)."""
        self.world.held[instance_id].listens = listens

    def say(self, instance_id: str, output: bytes) -> None:
        """The app writes something."""
        self._sink(instance_id, output)

    # --- the contract ---
    async def open(self, sink: LogSink) -> EngineInfo:
        """Ready at once; what a dead engine had made ahead is gone."""
        self._sink = sink
        self.world.prepared.clear()
        return EngineInfo("memory", (Capability("isolation", ok=False, note="nothing runs at all"),))

    async def close(self) -> None:
        """Leave the world as it is, but for what was made ahead."""
        self.world.prepared.clear()
        self._sink = lambda _instance_id, _data: None

    async def start(self, spec: InstanceSpec) -> bool:
        """Hold it as running; nobody adopts here. Raises EngineError for a process type in ``refuse``."""
        self.calls.append(("start", spec.id))
        if spec.id in self.world.held:
            return False
        if spec.process in self.refuse:
            raise EngineError(f"The process “{spec.process}” could not be started.")
        made = self.world.prepared.pop(spec.id, None)
        if made is not None:
            self.calls.append(("begin" if made == spec else "discard", spec.id))
        self.world.held[spec.id] = _Held(spec, self.clock.now(), listens=spec.process not in self.deaf)
        return False

    async def prepare(self, spec: InstanceSpec) -> bool:
        """Hold it as prepared."""
        if not self.prepares or spec.id in self.world.held or spec.id in self.world.prepared:
            return False
        self.calls.append(("prepare", spec.id))
        self.world.prepared[spec.id] = spec
        return True

    async def discard(self, instance_id: str) -> None:
        """Hold it no more."""
        if self.world.prepared.pop(instance_id, None) is not None:
            self.calls.append(("discard", instance_id))

    async def stop(self, instance_id: str, grace_seconds: float) -> None:  # noqa: ARG002 - the contract's shape
        """It ends with 143, as after TERM."""
        self.calls.append(("stop", instance_id))
        held = self.world.held.get(instance_id)
        if held is not None and held.exit is None:
            held.exit, held.frozen = Exit(143), False

    async def freeze(self, instance_id: str) -> None:
        """Hold it as frozen. Raises EngineError when it is not running."""
        self.calls.append(("freeze", instance_id))
        self._living(instance_id).frozen = True

    async def thaw(self, instance_id: str) -> None:
        """Hold it as running. Raises EngineError when it is not there."""
        self.calls.append(("thaw", instance_id))
        self._living(instance_id).frozen = False

    async def observe(self) -> tuple[Observed, ...]:
        """Everything held, ordered by id."""
        return tuple(
            Observed(held.spec, self._state(held), held.started_at, held.exit, pid=0, memory_kills=held.memory_kills)
            for _, held in sorted(self.world.held.items())
        )

    async def remove(self, instance_id: str) -> None:
        """Forget it. Raises EngineError while it runs."""
        self.calls.append(("remove", instance_id))
        held = self.world.held.get(instance_id)
        if held is not None and held.exit is None:
            raise EngineError("The instance is still running.", resolution="Stop it first.")
        self.world.held.pop(instance_id, None)

    async def listening(self, instance_id: str) -> bool:
        """True while it runs, unless it is deaf or silenced."""
        held = self.world.held.get(instance_id)
        return held is not None and held.exit is None and held.listens

    async def stats(self, instance_id: str) -> Stats:
        """One process and 1 MiB while it runs."""
        held = self.world.held.get(instance_id)
        usual = Stats(1024 * 1024, 0.0, 1)
        return self.world.stats.get(instance_id, usual) if held is not None and held.exit is None else Stats()

    async def exec(
        self,
        instance_id: str,
        argv: tuple[str, ...],
        terminal: TerminalSize | None,  # noqa: ARG002 - the contract
        *,
        apart: bool = False,  # noqa: ARG002 - the contract
    ) -> MemoryExecSession:
        """A session that echoes. Raises EngineError when it is not running."""
        self._living(instance_id)
        return MemoryExecSession(argv)

    async def run(self, job: JobSpec, cancelled: Awaitable[None] | None = None) -> JobResult:
        """What ``jobs`` answers; a job that is cancelled already does not run."""
        self.calls.append(("run", job.id))
        if cancelled is not None:
            watch = asyncio.ensure_future(cancelled)
            await asyncio.sleep(0)
            if watch.done():
                return JobResult(Exit(137), 0.0, cancelled=True)
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
        return self.jobs(job)

    async def converse(self, job: JobSpec) -> MemoryConversation:
        """A conversation that echoes."""
        self.calls.append(("converse", job.id))
        return MemoryConversation((job.box.command,))

    def _living(self, instance_id: str) -> _Held:
        held = self.world.held.get(instance_id)
        if held is None or held.exit is not None:
            raise EngineError("The instance is not running.")
        return held

    @staticmethod
    def _state(held: _Held) -> EngineState:
        if held.exit is not None:
            return EngineState.EXITED
        return EngineState.FROZEN if held.frozen else EngineState.RUNNING


class MemoryExecSession:
    """Gives back what it is given; ends when its input is closed."""

    def __init__(self, argv: tuple[str, ...]) -> None:
        self.argv = argv
        self.sizes: list[TerminalSize] = []
        self._output: asyncio.Queue[bytes] = asyncio.Queue()
        self._ended = asyncio.Event()
        self._exit = Exit(0)

    async def read(self) -> bytes:
        """What was written, in order; b"" at the end."""
        if self._ended.is_set() and self._output.empty():
            return b""
        return await self._output.get()

    async def read_error(self) -> bytes:
        """Nothing."""
        return b""

    async def write(self, data: bytes) -> None:
        """Echo it."""
        if self._ended.is_set():
            return
        if not data:
            self._ended.set()
        self._output.put_nowait(data)

    async def resize(self, size: TerminalSize) -> None:
        """Note the size."""
        self.sizes.append(size)

    async def wait(self) -> Exit:
        """Until the input is closed or it is killed."""
        await self._ended.wait()
        return self._exit

    async def kill(self) -> None:
        """End it with 137."""
        if not self._ended.is_set():
            self._exit = Exit(137)
            self._ended.set()
            self._output.put_nowait(b"")


class MemoryConversation(MemoryExecSession):
    """The same, with a standard error that says nothing."""

    async def read_error(self) -> bytes:
        """The end, once it has ended."""
        await self._ended.wait()
        return b""
