"""The orchestrator's own memory of a channel: what neither the desired state nor the engine knows.

What must outlive a restart (who was ready, crashes, the release command, what is served, which generation is in effect) is kept in one
checked file a channel, written only when it changed. A channel at rest (nothing runs, nothing is under way) leaves memory but for a few
words (``Resting``): ten thousand sleeping channels cost a few megabytes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from sitewright.domain.backoff import restart_delay
from sitewright.domain.route import ChannelRoute
from sitewright.domain.sleep import SleepStage
from sitewright.orchestrator.canary import Trial
from sitewright.orchestrator.cron import CronState
from sitewright.orchestrator.model import NEVER_SLEPT, Crash, Hook, HookState, Rest, Serving, Sleep, Tree
from sitewright.orchestrator.settled import Settled, planner_version, route_of
from sitewright.system.files import CorruptFileError, checked_body, scan_folder, write_checked_json

log = logging.getLogger(__name__)

FREEZE_AGAIN_SECONDS = 3600.0
"""An engine that could not freeze an instance is not asked again before."""
LATE_SECONDS = 5.0
"""The router's log is read every second."""
MOST_STARTS = 8
"""Digests of which a channel remembers how long they took to start."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The part of the memory that is on disk. Times are seconds since the epoch, by instance id."""

    ready: dict[str, float] = field(default_factory=dict)
    evacuating: dict[str, float] = field(default_factory=dict)
    told_to_stop: tuple[str, ...] = ()
    crashes: tuple[Crash, ...] = ()
    hook: Hook | None = None
    serving: Serving | None = None
    applied: int = 0
    deleted: bool = False
    sleep: Sleep = NEVER_SLEPT
    start_seconds: dict[str, float] = field(default_factory=dict)
    """Digest → seconds from a start to the first answer."""
    slots: tuple[str, ...] = ()
    crons: tuple[CronState, ...] = ()
    trial: Trial | None = None
    trial_hook: Hook | None = None

    settled: ChannelRoute | None = None
    """The route of a channel of which nothing else is to be done: after a start it is served again without another look."""
    settled_by: str = ""
    """The version of the planner that said so; another one may say something else."""


_ADAPTER: TypeAdapter[Kept] = TypeAdapter(Kept)


@dataclass(slots=True)
class InstanceMemory:
    """What is remembered of one instance."""

    ready_since: float | None = None
    trusted: bool = False
    """It counts as ready, and has not answered yet."""
    evacuating_since: float | None = None
    told_to_stop: bool = False
    stopping: bool = False
    """A task of this process is seeing to its end."""
    probing: bool = False
    probed_at: float = 0.0
    failures: int = 0
    freezes: int = 0
    """How often it was frozen or thawed: a look that was under way meanwhile says nothing about its health."""
    out_until: float = 0.0
    """It refused connections: no slots until then while others are ready."""
    attended: bool = False
    """A command that somebody runs by hand is in it, and this process holds its other end."""
    moved: float = 0.0
    """Seconds that the wall clock was set forward since it was started."""
    memory_kills: int | None = None
    """How many the timeline knows of; None until the first look, so that a restart of the node tells nothing twice."""


@dataclass(frozen=True, slots=True)
class Wake:
    """Somebody waits for the channel: since when (steady seconds), and who, in words for the timeline."""

    at: float
    who: str


@dataclass(slots=True)
class ChannelMemory:
    """What is remembered of one channel. ``known``: a file was there when it was loaded."""

    known: bool = True
    instances: dict[str, InstanceMemory] = field(default_factory=dict)
    crashes: dict[str, Crash] = field(default_factory=dict)
    hook: Hook | None = None
    serving: Serving | None = None
    applied: int = 0
    tree: Tree = field(default_factory=Tree)
    route: ChannelRoute | None = None
    settled: bool = False
    """Whether ``route`` is all that there is to do, now and later, as long as nothing happens."""
    deleting: bool = False
    deleted: bool = False
    problem: str = ""
    said: str = ""
    """The planner's words that ``problem`` was made from."""
    next_at: float | None = None
    sleep: Sleep = field(default_factory=Sleep)
    start_seconds: dict[str, float] = field(default_factory=dict)
    stage_at: float | None = None
    """Steady seconds when the stage of sleep began, or this process first saw it."""
    visited_at: float | None = None
    """Steady seconds of the last visitor, wake, or generation in effect."""
    last_request_at: float = 0.0
    wake: Wake | None = None
    slots: tuple[str, ...] = ()
    handed_over: dict[int, float] = field(default_factory=dict)
    """Slot → steady seconds when it changed hands last."""
    crons: dict[str, CronState] = field(default_factory=dict)
    trial: Trial | None = None
    trial_hook: Hook | None = None
    trial_tree: Tree = field(default_factory=Tree)
    not_frozen_at: float | None = None
    """Steady seconds when the engine last failed to freeze an instance of it."""

    def rest(self, now: float, steady: float) -> Rest:
        """What the planner has to know of its sleep."""
        if self.visited_at is None:
            slept = self.sleep.idle + max(now - self.sleep.since, 0.0) if self.sleep.stage is not SleepStage.AWAKE else 0.0
            self.visited_at = steady - slept
        if self.stage_at is None:
            self.stage_at = steady
        can_freeze = self.not_frozen_at is None or steady - self.not_frozen_at > FREEZE_AGAIN_SECONDS
        return Rest(self.sleep, steady - self.visited_at, steady - self.stage_at, self.wake is not None, can_freeze)

    def note_visit(self, now: float, steady: float, last_at: float) -> None:
        """Somebody was served at *last_at* on the wall clock, which may have jumped since: it was lately in any case."""
        at = steady - min(max(now - last_at, 0.0), LATE_SECONDS)
        self.visited_at = at if self.visited_at is None else max(self.visited_at, at)
        self.last_request_at = max(self.last_request_at, min(last_at, now))

    def learn_start(self, digest: str, seconds: float) -> None:
        """Remember how long the start of an instance took; what is no longer started is forgotten in the end."""
        self.start_seconds.pop(digest, None)
        self.start_seconds[digest] = round(max(seconds, 0.0), 2)
        while len(self.start_seconds) > MOST_STARTS:
            del self.start_seconds[next(iter(self.start_seconds))]

    def crash_of(self, process: str, digest: str) -> Crash | None:
        """What is held against starting that again."""
        return self.crashes.get(f"{process} {digest}")

    def note_crash(self, crash: Crash) -> None:
        """Remember it, and those of one more digest of the process: a release may be on trial beside another."""
        key = f"{crash.process} {crash.digest}"
        self.crashes.pop(key, None)
        others = [k for k, known in self.crashes.items() if known.process == crash.process]
        for old in others[: max(len(others) - 1, 0)]:
            del self.crashes[old]
        self.crashes[key] = crash

    def move_times(self, seconds: float) -> None:
        """The wall clock was set forward by that much: nothing is older or younger for it. A cron's times are the wall clock's own."""
        for own in self.instances.values():
            own.moved += seconds
            own.probed_at += seconds
            own.ready_since = own.ready_since + seconds if own.ready_since is not None else None
            own.evacuating_since = own.evacuating_since + seconds if own.evacuating_since is not None else None
            own.out_until += seconds
        self.crashes = {key: replace(crash, not_before=crash.not_before + seconds) for key, crash in self.crashes.items()}
        self.tree = replace(self.tree, retry_at=self.tree.retry_at + seconds) if self.tree.retry_at else self.tree
        self.next_at = None

    def nothing_to_come(self, now: float, started: Mapping[str, float]) -> None:
        """After a restart: what is said to have happened later than *now* was written while the wall clock was wrong, and counts as now.

        *started*: when the engine started each instance, by the wall clock of then.
        """
        for instance_id, at in started.items():
            if at > now:
                self.instance(instance_id).moved = now - at
        for own in self.instances.values():
            own.ready_since = min(own.ready_since, now) if own.ready_since is not None else None
            own.evacuating_since = min(own.evacuating_since, now) if own.evacuating_since is not None else None
        for key, crash in self.crashes.items():
            self.crashes[key] = replace(crash, not_before=min(crash.not_before, now + restart_delay(crash.count)))

    @property
    def at_rest(self) -> bool:
        """Whether nothing of it would be missed that is not on disk: it is then read from there when somebody asks."""
        busy = self.instances or self.crashes or self.problem or self.deleting or self.wake or self.tree != Tree()
        busy = bool(busy) or bool(self.crons) or self.trial is not None or self.trial_tree != Tree()
        return self.known and not busy and (self.hook is None or self.hook.state is not HookState.RUNNING)

    def instance(self, instance_id: str) -> InstanceMemory:
        """The memory of that instance, made when first asked for."""
        return self.instances.setdefault(instance_id, InstanceMemory())

    def kept(self) -> Kept:
        """What has to be on disk."""
        items = sorted(self.instances.items())
        return Kept(
            ready={i: m.ready_since for i, m in items if m.ready_since is not None},
            evacuating={i: m.evacuating_since for i, m in items if m.evacuating_since is not None},
            told_to_stop=tuple(i for i, m in items if m.told_to_stop),
            crashes=tuple(self.crashes.values()),
            hook=_ended(self.hook),
            serving=self.serving,
            applied=self.applied,
            deleted=self.deleted,
            sleep=self.sleep,
            start_seconds=dict(self.start_seconds),
            slots=self.slots,
            crons=tuple(self.crons[p] for p in sorted(self.crons)),
            trial=self.trial,
            trial_hook=_ended(self.trial_hook),
            settled=self.route if self.settled else None,
            settled_by=planner_version() if self.settled else "",
        )


def _ended(hook: Hook | None) -> Hook | None:
    """A release command that is under way ends with this process, and is run again."""
    return hook if hook is None or hook.state is not HookState.RUNNING else None


def _recall(kept: Kept) -> ChannelMemory:
    memory = ChannelMemory(
        crashes={f"{crash.process} {crash.digest}": crash for crash in kept.crashes},
        hook=kept.hook,
        serving=kept.serving,
        applied=kept.applied,
        deleted=kept.deleted,
        sleep=kept.sleep,
        start_seconds=dict(kept.start_seconds),
        slots=kept.slots,
        crons={state.process: state for state in kept.crons},
        trial=kept.trial,
        trial_hook=kept.trial_hook,
        route=kept.settled if kept.settled_by == planner_version() else None,
        settled=kept.settled is not None and kept.settled_by == planner_version(),
    )
    for instance_id in {*kept.ready, *kept.evacuating, *kept.told_to_stop}:
        memory.instances[instance_id] = InstanceMemory(
            ready_since=kept.ready.get(instance_id),
            evacuating_since=kept.evacuating.get(instance_id),
            told_to_stop=instance_id in kept.told_to_stop,
        )
    return memory


@dataclass(frozen=True, slots=True)
class Resting:
    """What stays in memory of a channel at rest: what the node tells the manager of it. As in ``Kept``."""

    applied: int
    deleted: bool = False
    sleep: Sleep = NEVER_SLEPT


def _resting(kept: Kept) -> Resting:
    return Resting(kept.applied, kept.deleted, replace(kept.sleep, shape=""))


def _sleep(body: dict[str, Any]) -> Sleep:
    return Sleep(**{**body, "stage": SleepStage(body["stage"]), "shape": ""})


class MemoryStore:
    """Channel id → memory, loaded on first use, saved when changed, and let go of when the channel is at rest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._channels: dict[str, ChannelMemory] = {}
        self._saved: dict[str, Kept] = {}
        self._resting: dict[str, Resting] = {}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def settled(self) -> Iterator[Settled]:
        """Read every file once: each channel of which there is nothing to do but to serve its route. From then on it is at rest here.
        Documents are not checked value by value: their checksum says that they are as this program wrote them."""
        for name, content in scan_folder(self._folder, ".json"):
            channel_id = name.removesuffix(".json")
            try:
                body = json.loads(checked_body(name, content))
                if body.get("settled") is None or channel_id in self._channels:
                    continue
                settled = Settled(body["applied"], route_of(body["settled"]), stale=body.get("settled_by") != planner_version())
                self._resting[channel_id] = Resting(body["applied"], body["deleted"], _sleep(body["sleep"]))
                yield settled
            except (CorruptFileError, ValueError, LookupError, TypeError):
                continue  # read once more, and told, when somebody asks for it

    def of(self, channel_id: str) -> ChannelMemory:
        """The memory of that channel."""
        memory = self._channels.get(channel_id)
        if memory is None:
            memory = self._channels[channel_id] = self._load(channel_id)
        return memory

    def in_memory(self) -> tuple[tuple[str, ChannelMemory], ...]:
        """The channels that are not at rest."""
        return tuple(self._channels.items())

    def loaded(self, channel_id: str) -> ChannelMemory | None:
        """The memory of a channel that is not at rest, without looking at the disk."""
        return self._channels.get(channel_id)

    def resting(self, channel_id: str) -> Resting | None:
        """What is known of a channel at rest without looking at the disk; None when it is not at rest."""
        return None if channel_id in self._channels else self._resting.get(channel_id)

    def _load(self, channel_id: str) -> ChannelMemory:
        try:
            path = self._path(channel_id)
            kept = _ADAPTER.validate_json(checked_body(path.name, path.read_bytes()))
        except FileNotFoundError:
            return ChannelMemory(known=False)
        except (CorruptFileError, ValueError, OSError) as error:
            log.warning("memory.damaged", extra={"channel": channel_id, "reason": type(error).__name__})
            return ChannelMemory(known=False)
        self._saved[channel_id] = kept
        return _recall(kept)

    def save(self, channel_id: str, *, durable: bool = False) -> None:
        """Write what changed, if anything. Mostly not flushed: after a power cut no instance lives that it could be wrong about.

        Raises OSError.
        """
        memory = self.of(channel_id)
        kept = memory.kept()
        memory.known = True
        if self._saved.get(channel_id) != kept:
            write_checked_json(self._path(channel_id), _ADAPTER.dump_python(kept, mode="json"), durable=durable)
            self._saved[channel_id] = kept

    def let_go(self, channel_id: str) -> None:
        """Keep only a few words of it in memory, if it is at rest and all of it is on disk."""
        memory, saved = self._channels.get(channel_id), self._saved.get(channel_id)
        if memory is not None and saved is not None and memory.at_rest and memory.kept() == saved:
            self._resting[channel_id] = _resting(saved)
            del self._channels[channel_id], self._saved[channel_id]

    def forget(self, channel_id: str) -> None:
        """Drop it."""
        self._path(channel_id).unlink(missing_ok=True)
        self._channels.pop(channel_id, None)
        self._saved.pop(channel_id, None)
        self._resting.pop(channel_id, None)

    def _path(self, channel_id: str) -> Path:
        return self._folder / f"{channel_id}.json"
