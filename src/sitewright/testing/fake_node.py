"""A node that does everything at once, or fails as told: for tests of the manager without an orchestrator."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import threading
from dataclasses import dataclass, field
from typing import Any

from sitewright.bus.base import Answerer, Bus
from sitewright.bus.messages import (
    Ack,
    Artefacts,
    BuildQuery,
    BuildRequest,
    BuildSearch,
    BuildStatus,
    CacheQuery,
    CacheReport,
    ChannelQuery,
    Component,
    DesiredDifference,
    DesiredDigest,
    DesiredPut,
    ExecOpen,
    FileContent,
    FileEntry,
    FileKind,
    FileListing,
    FileQuery,
    FileWrite,
    GitOpen,
    Heartbeat,
    LogLine,
    LogPage,
    LogQuery,
    Message,
    NodeStats,
    Nothing,
    StreamChunk,
)
from sitewright.bus.streams import ByteStream, StreamLostError, near_end
from sitewright.bus.subjects import node_topic, rpc, stream_in, stream_out
from sitewright.domain.desired import ActualCanary, ActualChannel, ActualCron, ActualInstance, CanaryState, DesiredChannel
from sitewright.domain.processes import Listen, ProcessSpec
from sitewright.domain.release import Blueprint
from sitewright.domain.states import BuildState, InstanceState, Power
from sitewright.errors import ConflictError, NotFoundError, UnavailableError
from sitewright.testing.fake_repository import FakeRepository

FLASK = Blueprint(pack="python", stack="host", processes=(ProcessSpec("web", "gunicorn app:app", Listen.FD),))
STATIC = Blueprint(pack="static", stack="host", static_root="")


@dataclass
class Behaviour:
    """How the node is to be. Change it while it runs."""

    blueprint: Blueprint = FLASK
    build: BuildState = BuildState.SUCCEEDED
    build_problem: str = ""
    problem: str = ""
    """Why new generations do not come up; "" when they do."""
    away: bool = False
    """Answers nothing."""
    slow: bool = False
    """Takes what it is told, but does nothing until ``catch_up``."""
    canary: CanaryState = CanaryState.SERVING
    """What becomes of a release on trial."""
    canary_reason: str = ""
    sleep: str = "awake"
    """The stage of every channel; a wake makes it `awake`."""
    crons: tuple[ActualCron, ...] = ()
    said: str = "Hello from the log"
    """The one line of every log."""


@dataclass
class FakeNode:
    """Answers every method of a node. ``said`` holds what it would publish, oldest first, unless ``speaks``: then it publishes."""

    name: str = "node1"
    now: float = 1_800_000_000.0
    behaviour: Behaviour = field(default_factory=Behaviour)
    desired: dict[str, DesiredChannel] = field(default_factory=dict)
    applied: dict[str, int] = field(default_factory=dict)
    serving: dict[str, str] = field(default_factory=dict)
    """Channel id → id of the release that visitors get."""
    builds: dict[str, BuildRequest] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    puts: list[DesiredChannel] = field(default_factory=list)
    said: list[Heartbeat | BuildStatus] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    opened: list[ExecOpen] = field(default_factory=list)
    git: list[GitOpen] = field(default_factory=list)
    speaks: bool = False
    sequence: int = 0
    repository: FakeRepository = field(default_factory=FakeRepository)
    _bus: Bus | None = None
    _talks: set[asyncio.Task[None]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    async def join(self, bus: Bus) -> None:
        """Answer on *bus*."""
        self._bus = bus
        for method, kind, handler in (
            ("desired.put", DesiredPut, self._put),
            ("desired.compare", DesiredDigest, self._compare),
            ("channel.state", ChannelQuery, self._state),
            ("channel.wake", ChannelQuery, self._wake),
            ("build.start", BuildRequest, self._build),
            ("build.status", BuildQuery, self._status),
            ("build.cancel", BuildQuery, self._cancel),
            ("log.read", LogQuery, self._log),
            ("exec.open", ExecOpen, self._exec),
            ("files.list", FileQuery, self._list),
            ("files.read", FileQuery, self._read),
            ("files.write", FileWrite, self._write),
            ("files.delete", FileQuery, self._delete),
            ("build.artefacts", BuildQuery, self._artefacts),
            ("build.search", BuildSearch, self._search),
            ("cache.report", CacheQuery, self._caches),
            ("stats", Nothing, self._stats),
            ("git.open", GitOpen, self._git),
        ):
            await bus.serve(rpc(self.name, method), kind, handler)  # type: ignore[arg-type]
        for method, asked, answerer in self.repository.methods():
            await bus.serve(rpc(self.name, method), asked, self._unless_away(answerer))

    def take(self) -> list[Heartbeat | BuildStatus]:
        """What it has said since the last time."""
        with self._lock:
            said, self.said = self.said, []
        return said

    def _check(self) -> None:
        if self.behaviour.away:
            raise UnavailableError("The node is away.")

    def _unless_away(self, answerer: Answerer[Any]) -> Answerer[Any]:
        async def answered(question: Any) -> Message:
            self._check()
            return await answerer(question)

        return answered

    async def _say(self, message: Heartbeat | BuildStatus) -> None:
        if self.speaks and self._bus is not None:
            topic = "heartbeat" if isinstance(message, Heartbeat) else "build"
            await self._bus.publish(node_topic(self.name, topic), message)
            return
        with self._lock:
            self.said.append(message)

    async def _put(self, put: DesiredPut) -> Message:
        self._check()
        wanted = put.channel
        former = self.desired.get(wanted.channel_id)
        if former is not None and former.generation > wanted.generation:
            raise ConflictError("An older generation.")
        self.puts.append(wanted)
        if wanted.removed:
            self.desired.pop(wanted.channel_id, None)
            self.serving.pop(wanted.channel_id, None)
            self.applied.pop(wanted.channel_id, None)
            return Ack()
        self.desired[wanted.channel_id] = wanted
        if not self.behaviour.slow:
            await self.catch_up(wanted.channel_id)
        return Ack()

    async def catch_up(self, channel_id: str) -> None:
        """Do what is wanted of a channel, unless there is a problem, and say so."""
        wanted = self.desired[channel_id]
        problem = self.behaviour.problem
        if not problem or wanted.release is None or self.serving.get(channel_id) == wanted.release.id:
            problem = ""
            self.applied[channel_id] = wanted.generation
            self.serving[channel_id] = wanted.release.id if wanted.release and wanted.power is Power.ON else ""
        await self._say(self.heartbeat(channel_id, problem))

    def heartbeat(self, channel_id: str, problem: str = "") -> Heartbeat:
        """What it says of one channel."""
        wanted = self.desired[channel_id]
        release = self.serving.get(channel_id, "")
        channel = ActualChannel(
            channel_id,
            wanted.generation,
            self.applied.get(channel_id, 0),
            problem,
            self._instances(wanted, release),
            sleep=self.behaviour.sleep,
            sleep_since=self.now,
            saved_bytes=0 if self.behaviour.sleep == "awake" else 48 * 1024 * 1024,
            last_request_at=self.now - 60,
            canary=self._canary(wanted),
            crons=self.behaviour.crons,
        )
        self.sequence += 1
        return Heartbeat(node=self.name, at=self.now + self.sequence, sequence=self.sequence, full=False, channels=(channel,))

    def _instances(self, wanted: DesiredChannel, release: str) -> tuple[ActualInstance, ...]:
        """One of every process that runs all the time and is wanted; none of what sleeps deeply."""
        if not release or wanted.release is None or self.behaviour.sleep == "stopped":
            return ()
        state = InstanceState.FROZEN if self.behaviour.sleep == "frozen" else InstanceState.READY
        return tuple(
            ActualInstance(
                id=f"i-{wanted.channel_id}-{spec.type}-{number}",
                channel_id=wanted.channel_id,
                process=spec.type,
                release_id=release,
                state=state.value,
                since=self.now,
            )
            for spec in wanted.release.blueprint.processes
            if spec.schedule is None and spec.type != "release"
            for number in range(wanted.scale_of(spec.type).count)
        )

    def _canary(self, wanted: DesiredChannel) -> ActualCanary | None:
        if wanted.canary is None:
            return None
        return ActualCanary(
            release_id=wanted.canary.release.id,
            state=self.behaviour.canary,
            slots=wanted.canary.slots,
            requests=120,
            errors=1,
            latency=0.021,
            old_requests=880,
            old_errors=4,
            old_latency=0.019,
            reason=self.behaviour.canary_reason,
        )

    async def _wake(self, query: ChannelQuery) -> Message:
        self._check()
        self.behaviour.sleep = "awake"
        if query.channel_id in self.desired:
            await self._say(self.heartbeat(query.channel_id))
        return Ack()

    async def _compare(self, digest: DesiredDigest) -> Message:
        self._check()
        old = tuple(one for one, g in digest.generations.items() if one not in self.desired or self.desired[one].generation < g)
        return DesiredDifference(wanted=old, excess=tuple(one for one in self.desired if one not in digest.generations))

    async def _state(self, query: ChannelQuery) -> Message:
        self._check()
        if query.channel_id not in self.desired:
            return Heartbeat(node=self.name, at=self.now, sequence=0, full=False)
        return self.heartbeat(query.channel_id)

    def _answer(self, build_id: str) -> BuildStatus:
        if build_id not in self.builds:
            raise NotFoundError("There is no such build.")
        state = BuildState.CANCELLED if build_id in self.cancelled else self.behaviour.build
        status = BuildStatus(build_id=build_id, state=state, phase="Installing", problem=self.behaviour.build_problem)
        if state is not BuildState.SUCCEEDED:
            return status
        droplet = "ab" * 32 if self.builds[build_id].mode == "released" else ""
        commit = self.repository.built(self.builds[build_id])
        done = {"droplet": droplet, "size_bytes": 1000, "blueprint": self.behaviour.blueprint, "finished_at": self.now, "commit": commit}
        return status.model_copy(update=done)

    async def _build(self, request: BuildRequest) -> Message:
        self._check()
        self.builds.setdefault(request.build_id, request)
        return self._answer(request.build_id)

    async def _status(self, query: BuildQuery) -> Message:
        self._check()
        return self._answer(query.build_id)

    async def _cancel(self, query: BuildQuery) -> Message:
        self._check()
        self.cancelled.add(query.build_id)
        return self._answer(query.build_id)

    async def finish_builds(self, state: BuildState) -> None:
        """Let every build end like that, and say so."""
        self.behaviour.build = state
        for build_id in self.builds:
            await self._say(self._answer(build_id))

    async def _log(self, query: LogQuery) -> Message:
        self._check()
        if query.cursor:
            return LogPage(cursor=query.cursor, ended=True)
        source = "build" if query.build_id else "web.1"
        return LogPage(lines=(LogLine(at=self.now, source=source, text=self.behaviour.said),), cursor="1")

    async def _exec(self, opening: ExecOpen) -> Message:
        """A program that gives back what it gets, in capitals, until its input ends."""
        self._check()
        self.opened.append(opening)
        bus = self._bus
        assert bus is not None
        out = stream_out(self.name, opening.session)

        async def heard(_subject: str, chunk: StreamChunk) -> None:
            if chunk.kind == "data":
                louder = base64.b64encode(base64.b64decode(chunk.data).upper()).decode()
                await bus.publish(out, StreamChunk(kind="data", data=louder))
            elif chunk.kind in {"eof", "kill"}:
                await bus.publish(out, StreamChunk(kind="exit", code=0 if chunk.kind == "eof" else 137))

        await bus.subscribe(stream_in(self.name, opening.session), StreamChunk, heard)
        return Ack()

    async def _list(self, _query: FileQuery) -> Message:
        self._check()
        return FileListing(entries=tuple(FileEntry(name=name, kind=FileKind.FILE, size=len(data)) for name, data in self.files.items()))

    async def _read(self, query: FileQuery) -> Message:
        self._check()
        if query.path not in self.files:
            raise NotFoundError("There is no such file.")
        return self._content(query.path)

    async def _write(self, write: FileWrite) -> Message:
        self._check()
        if write.path in self.files and write.version != self._content(write.path).version:
            raise ConflictError("Somebody else has changed this file.")
        self.files[write.path] = base64.b64decode(write.data)
        return self._content(write.path)

    def _content(self, path: str) -> FileContent:
        data = self.files[path]
        return FileContent(data=base64.b64encode(data).decode(), version=hashlib.sha256(data).hexdigest())

    async def _delete(self, query: FileQuery) -> Message:
        self._check()
        self.files.pop(query.path, None)
        return Ack()

    async def _artefacts(self, query: BuildQuery) -> Message:
        self._check()
        flask = Component(name="flask", version="3.0.3", purl="pkg:pypi/flask@3.0.3", origin="https://pypi.example.org")
        return Artefacts(build_id=query.build_id, components=(flask,))

    async def _search(self, query: BuildSearch) -> Message:
        self._check()
        line = LogLine(at=self.now, source="build", text="Hello from the log")
        return LogPage(lines=(line,) if query.text.lower() in line.text.lower() else (), ended=True)

    async def _caches(self, query: CacheQuery) -> Message:
        self._check()
        return CacheReport(bytes={} if query.clear else {"uv": 4096}, limit_bytes=1024 * 1024)

    async def _stats(self, _nothing: Nothing) -> Message:
        self._check()
        return NodeStats(node=self.name, instances=len(self.serving), channels=len(self.desired), queue=0, uptime_seconds=1.0)

    async def _git(self, opening: GitOpen) -> Message:
        """A git that says how much it was sent."""
        self._check()
        assert self._bus is not None
        self.git.append(opening)
        stream = await near_end(self._bus, self.name, opening.session)
        self._talks.add(talk := asyncio.create_task(_count(stream)))
        talk.add_done_callback(self._talks.discard)
        return Ack()


async def _count(stream: ByteStream) -> None:
    got = 0
    with contextlib.suppress(StreamLostError):
        async for piece in stream:
            got += len(piece)
        await stream.write(f"{got} bytes".encode())
        await stream.exit(0)
    await stream.close()
