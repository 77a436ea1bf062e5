"""Desired state: what a node is told about one channel. A whole document each time, never a difference."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from sitewright.domain.limits import UNLIMITED_VISITS, VisitLimits
from sitewright.domain.processes import ProcessScale
from sitewright.domain.release import Release
from sitewright.domain.route import SLOTS, Affinity
from sitewright.domain.sleep import ALWAYS_ON, SleepPolicy
from sitewright.domain.states import Mode, Power


class Strategy(StrEnum):
    """How a new release takes over."""

    ROLLING = "rolling"
    """One after the other, with at most ``max_surge`` more than wanted."""
    BLUE_GREEN = "blue_green"
    """All new ones are started beside the old ones, and take all slots at once when the last of them is ready."""


@dataclass(frozen=True, slots=True)
class Canary:
    """A release on trial: it gets ``slots`` of the 16 slots (2 are 12.5 % of the requests) beside the channel's own release."""

    release: Release
    slots: int = 2

    @staticmethod
    def slots_of(percent: float) -> int:
        """The number of slots nearest to that many per cent: at least 1, at most 15."""
        return min(max(round(percent / 100 * SLOTS), 1), SLOTS - 1)


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
    sleep: SleepPolicy = ALWAYS_ON
    affinity: Affinity = Affinity.NONE
    canary: Canary | None = None
    strategy: Strategy = Strategy.ROLLING
    max_surge: int = 1
    visits: VisitLimits = UNLIMITED_VISITS
    disk_bytes: int = 0
    """The most that its data and live folder may take together; 0 is the platform's own bound (``Settings.site_disk_mb``)."""

    data_channel: str = ""
    """The channel of the same site whose data folder it uses; "" is its own."""
    kept: tuple[str, ...] = ()
    """Digests of the droplets that it can return to: they stay on the node although nothing runs from them."""

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


class CanaryState(StrEnum):
    """How a release on trial is doing."""

    STARTING = "starting"
    SERVING = "serving"
    ABORTED = "aborted"
    """The node took it out of the slots; the manager forgets it."""


@dataclass(frozen=True, slots=True)
class ActualCanary:
    """A release on trial as its node sees it. The figures are since it began to serve; latencies are medians in seconds."""

    release_id: str
    state: CanaryState
    slots: int = 0
    requests: int = 0
    errors: int = 0
    latency: float = 0.0
    old_requests: int = 0
    old_errors: int = 0
    old_latency: float = 0.0
    reason: str = ""
    """Why it was aborted, in words for the owner."""


@dataclass(frozen=True, slots=True)
class ActualCron:
    """One cron process as its node sees it. Times are seconds since the epoch, 0 is never."""

    process: str
    next_at: float = 0.0
    last_at: float = 0.0
    last_seconds: float = 0.0
    last_result: str = ""
    """"" while it runs or has never run, else how it ended, in words."""
    running: int = 0


@dataclass(frozen=True, slots=True)
class ActualChannel:
    """What a node does for one channel. ``applied`` is the generation that is fully in effect (instances ready, slots switched)."""

    channel_id: str
    generation: int
    applied: int
    problem: str = ""
    """Why ``applied`` lags, in words for the owner; "" while progress is expected."""
    instances: tuple[ActualInstance, ...] = field(default=())
    sleep: str = "awake"
    """A SleepStage."""
    sleep_since: float = 0.0
    saved_bytes: int = 0
    """Memory that its processes took before they were stopped for sleep."""
    last_request_at: float = 0.0
    canary: ActualCanary | None = None
    crons: tuple[ActualCron, ...] = ()
