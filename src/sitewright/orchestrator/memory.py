"""The orchestrator's own memory of a channel: what neither the desired state nor the engine knows.

What must outlive a restart (who was ready, crashes, the release command, what is served, which generation is in effect) is kept in one
checked file a channel, written only when it changed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sitewright.domain.route import ChannelRoute
from sitewright.orchestrator.model import Crash, Hook, HookState, Serving, Tree
from sitewright.system.files import CorruptFileError, read_checked_json, write_checked_json

log = logging.getLogger(__name__)


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


_ADAPTER: TypeAdapter[Kept] = TypeAdapter(Kept)


@dataclass(slots=True)
class InstanceMemory:
    """What is remembered of one instance."""

    ready_since: float | None = None
    evacuating_since: float | None = None
    told_to_stop: bool = False
    stopping: bool = False
    """A task of this process is seeing to its end."""
    probing: bool = False
    probed_at: float = 0.0
    failures: int = 0
    memory_kills: int | None = None
    """How many the timeline knows of; None until the first look, so that a restart of the node tells nothing twice."""


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
    deleting: bool = False
    deleted: bool = False
    problem: str = ""
    said: str = ""
    """The planner's words that ``problem`` was made from."""
    next_at: float | None = None

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
            crashes=tuple(self.crashes[p] for p in sorted(self.crashes)),
            hook=self.hook if self.hook is None or self.hook.state is not HookState.RUNNING else None,
            serving=self.serving,
            applied=self.applied,
            deleted=self.deleted,
        )


def _recall(kept: Kept) -> ChannelMemory:
    memory = ChannelMemory(
        crashes={crash.process: crash for crash in kept.crashes},
        hook=kept.hook,
        serving=kept.serving,
        applied=kept.applied,
        deleted=kept.deleted,
    )
    for instance_id in {*kept.ready, *kept.evacuating, *kept.told_to_stop}:
        memory.instances[instance_id] = InstanceMemory(
            ready_since=kept.ready.get(instance_id),
            evacuating_since=kept.evacuating.get(instance_id),
            told_to_stop=instance_id in kept.told_to_stop,
        )
    return memory


class MemoryStore:
    """Channel id → memory, loaded on first use and saved when changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._channels: dict[str, ChannelMemory] = {}
        self._saved: dict[str, Kept] = {}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def of(self, channel_id: str) -> ChannelMemory:
        """The memory of that channel."""
        memory = self._channels.get(channel_id)
        if memory is None:
            memory = self._channels[channel_id] = self._load(channel_id)
        return memory

    def _load(self, channel_id: str) -> ChannelMemory:
        try:
            kept = _ADAPTER.validate_python(read_checked_json(self._path(channel_id)))
        except FileNotFoundError:
            return ChannelMemory(known=False)
        except (CorruptFileError, ValidationError, ValueError, OSError) as error:
            log.warning("memory.damaged", extra={"channel": channel_id, "reason": type(error).__name__})
            return ChannelMemory(known=False)
        self._saved[channel_id] = kept
        return _recall(kept)

    def save(self, channel_id: str) -> None:
        """Write what changed, if anything. Not flushed: after a power cut no instance lives that it could be wrong about."""
        kept = self.of(channel_id).kept()
        if self._saved.get(channel_id) != kept:
            write_checked_json(self._path(channel_id), _ADAPTER.dump_python(kept, mode="json"), durable=False)
            self._saved[channel_id] = kept

    def forget(self, channel_id: str) -> None:
        """Drop it."""
        self._path(channel_id).unlink(missing_ok=True)
        self._channels.pop(channel_id, None)
        self._saved.pop(channel_id, None)

    def _path(self, channel_id: str) -> Path:
        return self._folder / f"{channel_id}.json"
