"""Desired state: what a node is told about one channel. A whole document each time, never a difference."""

from __future__ import annotations

from dataclasses import dataclass, field

from sitewright.domain.processes import ProcessScale
from sitewright.domain.release import Release
from sitewright.domain.states import Mode, Power


@dataclass(frozen=True, slots=True)
class DesiredChannel:
    """Everything a node needs to run one channel without asking anybody.

    ``generation`` grows with every change; a node refuses an older one. ``restart`` grows when somebody asks for a restart.
    ``number`` is the site's serial number, from which its uid follows. ``removed`` makes the node delete the channel's files.
    """

    site_id: str
    site_name: str
    number: int
    channel_id: str
    channel: str
    generation: int
    mode: Mode = Mode.RELEASED
    power: Power = Power.ON
    release: Release | None = None
    scale: tuple[ProcessScale, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    hosts: tuple[str, ...] = ()
    restart: int = 0
    removed: bool = False

    def scale_of(self, process_type: str) -> ProcessScale:
        """The wanted scale of that process type; one copy when the channel says nothing."""
        for scale in self.scale:
            if scale.type == process_type:
                return scale
        return ProcessScale(type=process_type)


@dataclass(frozen=True, slots=True)
class ActualInstance:
    """One instance as its node reports it. Times are seconds since the epoch."""

    id: str
    channel_id: str
    process: str
    release_id: str
    state: str
    since: float
    node: str = ""
    memory_bytes: int = 0
    cpu_seconds: float = 0.0
    restarts: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ActualChannel:
    """What a node does for one channel. ``applied`` is the generation that is fully in effect (instances ready, slots switched)."""

    channel_id: str
    generation: int
    applied: int
    problem: str = ""
    """Why ``applied`` lags, in words for the owner; "" while progress is expected."""
    instances: tuple[ActualInstance, ...] = field(default=())
