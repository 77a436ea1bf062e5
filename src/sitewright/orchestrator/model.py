"""What the planner sees, as frozen values: instances, crashes, the release command, and what a channel serves now."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from sitewright.domain.desired import DesiredChannel
from sitewright.domain.processes import HealthCheck, Listen, ProcessScale, ProcessSpec
from sitewright.domain.release import Release
from sitewright.domain.route import ChannelRoute
from sitewright.domain.sleep import SleepStage
from sitewright.domain.states import InstanceState, Mode, Power
from sitewright.orchestrator.canary import Trial
from sitewright.orchestrator.cron import CronState

WEB = "web"
RELEASE_COMMAND = "release"
"""The process type that runs once before the first instance of a release, as in Heroku's Procfile."""
ONE_OFF = "run"
"""The process type of a box in which somebody runs a command by hand."""
CRON = "cron"
OUT_SECONDS = 30.0
"""An instance that refused a connection gets no slots for so long, while others are ready."""

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
"""Libraries that bring certificates of their own are pointed at the machine's, which may hold the operator's own authority."""

LIVE_STATES = frozenset({InstanceState.STARTING, InstanceState.READY, InstanceState.FROZEN})
SERVING_STATES = frozenset({InstanceState.READY, InstanceState.FROZEN})


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance as the planner sees it. Times are seconds since the epoch; ``since`` is when ``state`` began.

    ``connections``: open connections of a draining instance, None when nobody knows. ``failures``: failed liveness checks in a row.
    ``told_to_stop``: it ended, or ends, because it was asked to; ``unattended``: and nobody is seeing to it any more.
    """

    id: str
    process: str
    index: int
    digest: str
    release_id: str
    state: InstanceState
    since: float
    started_at: float
    listen: Listen
    socket: Path
    health: HealthCheck = field(default_factory=HealthCheck)
    ready_since: float | None = None
    probing: bool = False
    probed_at: float = 0.0
    failures: int = 0
    connections: int | None = None
    told_to_stop: bool = False
    unattended: bool = False
    reason: str = ""
    out_of_memory: bool = False
    trusted: bool = False
    """It gets visitors and has never answered yet."""
    exit_code: int | None = None
    out_until: float = 0.0
    """It refused connections, and gets no slots until then while others are ready."""
    attended: bool = False
    """Somebody is at the other end of a command that runs in it."""
    waits: bool = False
    """Requests wait in its socket while it starts: the engine has made that socket, and nobody takes them out in vain."""


@dataclass(frozen=True, slots=True)
class Crash:
    """Crashes in a row of one process type with one digest. ``not_before``: when the next start may be. ``late``: it never got ready."""

    process: str
    digest: str
    count: int
    not_before: float
    reason: str
    late: bool = False


class HookState(StrEnum):
    """How the release command of a release is doing."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Hook:
    """The last run of the release command. ``generation`` is that of the desired state it ran for."""

    release_id: str
    generation: int
    state: HookState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Serving:
    """The release that visitors get, and how its tree is mounted."""

    release: Release
    mode: Mode


@dataclass(frozen=True, slots=True)
class Sleep:
    """How deep a channel sleeps, as it is kept on disk. ``since``: when the stage began, seconds since the epoch.

    ``shape`` is the fingerprint of what slept in: another one is a reason to wake. ``idle``: seconds without a visitor by then.
    ``saved_bytes``: memory that its processes took when they dozed off. ``last_request_at``: seconds since the epoch, 0 when not known.
    """

    stage: SleepStage = SleepStage.AWAKE
    since: float = 0.0
    shape: str = ""
    idle: float = 0.0
    saved_bytes: int = 0
    last_request_at: float = 0.0


NEVER_SLEPT = Sleep()


@dataclass(frozen=True, slots=True)
class Rest:
    """What the planner knows of a channel's sleep now. Seconds on a clock that never jumps, except in ``sleep``.

    ``idle``: since the last visitor; ``lasted``: since the stage began, or since this process knows of it. ``wanted``: somebody waits for
    it to wake. ``can_freeze``: the engine has not said that it cannot.
    """

    sleep: Sleep = NEVER_SLEPT
    idle: float = 0.0
    lasted: float = 0.0
    wanted: bool = False
    can_freeze: bool = True


@dataclass(frozen=True, slots=True)
class Tree:
    """Whether the files of the wanted release are on this disk. ``retry_at``: when to try again to fetch them."""

    present: bool = True
    preparing: bool = False
    problem: str = ""
    retry_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Actual:
    """All that is known of one channel on this node."""

    instances: tuple[Instance, ...] = ()
    crashes: tuple[Crash, ...] = ()
    hook: Hook | None = None
    tree: Tree = Tree()
    serving: Serving | None = None
    route: ChannelRoute | None = None
    applied: int = 0
    deleting: bool = False
    deleted: bool = False
    rest: Rest = Rest()
    start_seconds: Mapping[str, float] = field(default_factory=dict)
    """Digest → how long the last start took until it answered."""

    trial: Trial | None = None
    trial_hook: Hook | None = None
    trial_tree: Tree = Tree()
    slots: tuple[str, ...] = ()
    """Who holds each of the 16 slots, by instance id; () when nobody ever did."""
    crons: tuple[CronState, ...] = ()

    def hook_of(self, release_id: str) -> Hook | None:
        """The last run of that release's command."""
        return next((h for h in (self.hook, self.trial_hook) if h is not None and h.release_id == release_id), None)

    def crash_of(self, process: str, digest: str) -> Crash | None:
        """The crashes that count against starting this process type again."""
        return next((c for c in self.crashes if c.process == process and c.digest == digest), None)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One process type as it is wanted: how many of which digest."""

    spec: ProcessSpec
    scale: ProcessScale
    digest: str
    release: Release | None = None
    """Whose process it is; None stands for the channel's own release."""

    @property
    def count(self) -> int:
        """How many copies."""
        return self.scale.count


def environment(desired: DesiredChannel, release: Release, url: str) -> dict[str, str]:
    """What every process of the channel finds in its environment: the platform's words, then the pack's, then the owner's."""
    env = {
        "HOME": "/data",
        "LANG": "C.UTF-8",
        "PATH": "/app/.venv/bin:/app/node_modules/.bin:/usr/local/bin:/usr/bin:/bin",
        "PYTHONUNBUFFERED": "1",
        **dict.fromkeys(CA_VARIABLES, CA_BUNDLE),
    }
    env.update(release.blueprint.env)
    env.update(desired.env)
    env.update(
        SITEWRIGHT_DATA="/data",
        SITEWRIGHT_SITE=desired.site_name,
        SITEWRIGHT_CHANNEL=desired.channel,
        SITEWRIGHT_RELEASE=str(release.number),
        SITEWRIGHT_URL=url,
    )
    return env


def _fingerprint(desired: DesiredChannel, release: Release, spec: ProcessSpec, scale: ProcessScale) -> str:
    """Changes exactly when a running copy would have to be replaced: the count, grace and drain do not."""
    parts = {
        "release": release.id,
        "number": release.number,
        "droplet": release.droplet,
        "mode": desired.mode,
        "restart": desired.restart,
        "site": desired.site_name,
        "host": desired.hosts[:1],
        "env": sorted((*release.blueprint.env, *desired.env)),
        **({"data": desired.data_channel} if desired.data_channel else {}),
        "spec": asdict(spec),
        "limits": asdict(scale.limits),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def is_job(process: str) -> bool:
    """Whether instances of that process type end by themselves: cron runs and one-off commands."""
    return process in (ONE_OFF, CRON) or process.startswith(f"{CRON}-")


def wanted_of(desired: DesiredChannel, release: Release, spec: ProcessSpec, scale: ProcessScale) -> Wanted:
    """That many copies of that process type of any release, with the channel's variables."""
    return Wanted(spec, scale, _fingerprint(desired, release, spec, scale), release)


def job_scale(desired: DesiredChannel, process: str) -> ProcessScale:
    """What runs once and ends may use what the channel's web process may, unless the channel says otherwise."""
    named = {scale.type for scale in desired.scale}
    return desired.scale_of(process if process in named else WEB)


def wanted_processes(desired: DesiredChannel) -> tuple[Wanted, ...]:
    """The process types that should run, those with no copies left out; none at all when the power is off."""
    release = desired.release
    if release is None or desired.power is Power.OFF or desired.removed:
        return ()
    wanted = []
    for spec in release.blueprint.processes:
        scale = desired.scale_of(spec.type)
        if spec.type != RELEASE_COMMAND and not is_job(spec.type) and scale.count > 0:
            wanted.append(wanted_of(desired, release, spec, scale))
    return tuple(wanted)
