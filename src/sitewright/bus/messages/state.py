"""What nodes are told of channels, and what they say."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from sitewright.bus.messages.base import Message
from sitewright.domain.desired import ActualChannel, DesiredChannel
from sitewright.domain.events import Event


class Hello(Message):
    """A node says that it is there (again) and wants to be compared."""

    node: str
    version: str
    engine: str


class Heartbeat(Message):
    """Every 5 s, and at once after a change of an instance. ``full``: ``channels`` is everything this node holds, in ``parts`` messages of
    which this is number ``part`` (from 0); else only what changed. ``sequence`` grows by one: who misses a number has missed a message."""

    node: str
    at: float
    sequence: int
    full: bool
    part: int = 0
    parts: int = 1
    channels: tuple[ActualChannel, ...] = ()
    memory_total: int = 0
    memory_used: int = 0
    builds_running: int = 0


class EventBatch(Message):
    """Events not yet acknowledged, oldest first; a node keeps them on disk until the manager says Ack."""

    node: str
    events: tuple[Event, ...]


class DesiredPut(Message):
    """Desired state of one channel. The node stores it on disk before it answers."""

    channel: DesiredChannel


class DesiredDigest(Message):
    """Channel id → generation: the full comparison. The node answers with what it lacks or has too old, and what it holds in excess.

    ``full``: it is to say everything that it does, too, because not all of its heartbeats were heard.
    """

    generations: dict[str, int]
    full: bool = True


class DesiredDifference(Message):
    """The answer to DesiredDigest."""

    wanted: tuple[str, ...] = ()
    excess: tuple[str, ...] = ()


class ChannelQuery(Message):
    """Which channel."""

    channel_id: str


class NodeStats(Message):
    """The node's own figures, for /metrics and the health page."""

    node: str
    instances: int
    channels: int
    queue: int
    uptime_seconds: float
    loop_seconds: float = 0.0
    extra: dict[str, Any] = Field(default_factory=dict)
