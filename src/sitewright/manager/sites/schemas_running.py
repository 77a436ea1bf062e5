"""How a site runs, as the API takes and shows it: scale, settings, sleep, trials, cron."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from ninja import Field, Schema
from pydantic import BaseModel, ConfigDict

from sitewright.domain.desired import Strategy
from sitewright.domain.route import Affinity
from sitewright.domain.sleep import SleepStage
from sitewright.manager.teams.schemas import PlanOut


class Strict(BaseModel):
    """Part of what is asked for: an object, and no other words than these."""

    model_config = ConfigDict(extra="forbid")


class ProcessIn(Strict):
    """What to change of one process type; what is left out stays, null is the plan's."""

    count: int | None = Field(None, examples=[3])
    memory_mb: int | None = Field(None, examples=[128])
    cpu_millicores: int | None = Field(None, examples=[500])


class ScaleIn(Schema):
    """Process type → what to change."""

    processes: dict[str, ProcessIn] = Field(examples=[{"web": {"count": 3}, "worker": {"count": 1, "memory_mb": 128}}])


class ProcessOut(Schema):
    """One process type of the present release. ``ready`` and ``living`` count instances; ``most_…`` is what the plan allows one of them.

    ``fixed``: it runs at its time and ends by itself, so that its number cannot be set. ``schedule`` is "" unless it is a cron process.
    """

    process: str
    command: str
    count: int
    ready: int
    living: int
    memory_mb: int
    cpu_millicores: int
    most_count: int
    most_memory_mb: int
    most_cpu_millicores: int
    fixed: bool
    schedule: str


class ScaleOut(Schema):
    """Every process type. ``memory_mb`` is what all of them may take together, of the team's ``team_memory_mb``."""

    items: list[ProcessOut]
    next: str | None
    memory_mb: int
    team_memory_mb: int
    team_used_memory_mb: int


class SleepIn(Strict):
    """Idle seconds until it freezes and stops; null is the plan's, 0 is never; what is left out stays."""

    freeze_after_seconds: float | None = Field(None, examples=[600])
    stop_after_seconds: float | None = Field(None, examples=[7200])


class VisitsIn(Strict):
    """The most that visitors may ask for: requests at a time, requests a second, megabytes a request. null or 0 is what the plan
    allows."""

    connections: int | None = None
    requests_per_second: int | None = None
    body_mb: int | None = None


class SettingsPatch(Schema):
    """What to change; what is left out stays."""

    sleep: SleepIn | Literal["default", "never"] | None = None
    affinity: Affinity | None = None
    strategy: Strategy | None = None
    max_surge: int | None = Field(None, description="copies that a deploy may run beside the wanted ones")
    visits: VisitsIn | None = None


class PolicyOut(Schema):
    """When it sleeps, in idle seconds; 0 is never. ``source``: default (the plan's), never, or own."""

    freeze_after_seconds: float
    stop_after_seconds: float
    source: Literal["default", "never", "own"]


class VisitsOut(Schema):
    """The most that visitors may ask for; 0 is the platform's own bound."""

    connections: int
    requests_per_second: int
    body_mb: int


class SettingsOut(Schema):
    """What holds for the site now, and the plan that bounds it."""

    sleep: PolicyOut
    affinity: Affinity
    strategy: Strategy
    max_surge: int
    visits: VisitsOut
    plan: PlanOut


class SleepOut(Schema):
    """How deep it sleeps. ``saved_bytes`` of memory are freed for others; ``since`` is null when it was never heard of."""

    stage: SleepStage
    since: datetime | None
    saved_bytes: int
    policy: PolicyOut


class CanaryOut(Schema):
    """A release on trial. ``percent`` of the requests go to it. Latencies are medians in seconds, figures since it began to serve;
    ``state``: starting, serving, aborted; ``old_…`` are those of the channel's own release in the same time."""

    release: int
    slots: int
    percent: float
    state: str
    requests: int
    errors: int
    latency: float
    old_release: int | None
    old_requests: int
    old_errors: int
    old_latency: float
    reason: str


class VerdictOut(Schema):
    """The last release that was on trial and what became of it: promoted or aborted, and why."""

    release: int
    verdict: str
    reason: str


class TrialOut(Schema):
    """The release on trial now, null when there is none, and the last verdict."""

    canary: CanaryOut | None
    last: VerdictOut | None


class CronOut(Schema):
    """A cron process. Times are null when there is none; ``last_result`` is "" while it runs or has never run."""

    process: str
    schedule: str
    timezone: str
    overlap: bool
    command: str
    next_at: datetime | None
    last_at: datetime | None
    last_seconds: float
    last_result: str
    running: int


class CronList(Schema):
    """The cron processes of the present release."""

    items: list[CronOut]
    next: str | None


class RollbackIn(Schema):
    """Which release to return to; without a number, the one before the present. ``why`` is told in the timeline."""

    release: int | None = Field(None, examples=[3])
    why: str = Field("", max_length=200, examples=["Too loud"])
