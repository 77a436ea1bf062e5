"""How a site runs, as pages show it: asleep or awake, its processes, the release on trial, cron."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sitewright.domain.sleep import SleepStage
from sitewright.manager.durations import duration
from sitewright.manager.sites.models import Channel
from sitewright.manager.sites.scale import WEB
from sitewright.manager.sites.schemas_running import CanaryOut, CronOut, PolicyOut, ProcessOut, SettingsOut
from sitewright.manager.sites.state import ASLEEP, is_static

STAGE_WORDS = {SleepStage.FROZEN.value: "Frozen", SleepStage.STOPPED.value: "Stopped"}


@dataclass(frozen=True, slots=True)
class Life:
    """Sleep in words. ``asleep``: nobody visits it and the next visitor wakes it; ``stage`` says how deeply, ``habit`` when it sleeps."""

    asleep: bool
    stage: str
    since: datetime | None
    saved_bytes: int
    last_request_at: datetime | None
    habit: str


def life_of(channel: Channel, policy: PolicyOut) -> Life:
    """The channel's sleep for a page."""
    return Life(
        asleep=channel.sleep_stage in ASLEEP and channel.power == "on",
        stage=STAGE_WORDS.get(channel.sleep_stage, ""),
        since=channel.sleep_since,
        saved_bytes=channel.saved_bytes,
        last_request_at=channel.last_request_at,
        habit="" if is_static(channel) or channel.release is None else habit(policy),
    )


def habit(policy: PolicyOut) -> str:
    """`freezes after 15 min, stops after 2 h without a visitor`; `never`."""
    parts = []
    if policy.freeze_after_seconds and (not policy.stop_after_seconds or policy.freeze_after_seconds < policy.stop_after_seconds):
        parts.append(f"freezes after {duration(policy.freeze_after_seconds)}")
    if policy.stop_after_seconds:
        parts.append(f"stops after {duration(policy.stop_after_seconds)}")
    return f"{', '.join(parts)} without a visitor" if parts else "never"


@dataclass(frozen=True, slots=True)
class ProcessLine:
    """One process type on a page. ``fewer`` and ``more`` are the counts that its buttons ask for, None where there is none."""

    name: str
    command: str
    count: int
    ready: int
    memory_mb: int
    cpu: str
    fixed: bool
    note: str
    fewer: int | None
    more: int | None


def process_line(one: ProcessOut) -> ProcessLine:
    """A process type for a page."""
    least = 1 if one.process == WEB else 0
    note = (one.schedule or "before each deploy") if one.fixed else ""
    return ProcessLine(
        name=one.process,
        command=one.command,
        count=one.count,
        ready=one.ready,
        memory_mb=one.memory_mb,
        cpu=f"{one.cpu_millicores / 1000:g}",
        fixed=one.fixed,
        note=note,
        fewer=one.count - 1 if one.count > least and not one.fixed else None,
        more=one.count + 1 if one.count < one.most_count and not one.fixed else None,
    )


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a trial: the new release or the present one. ``percent`` of the requests go to it."""

    release: int | None
    on_trial: bool
    percent: float
    requests: int
    errors: int
    latency: float


@dataclass(frozen=True, slots=True)
class TrialCard:
    """A trial for a page."""

    release: int
    state: str
    slots: int
    percent: float
    sides: tuple[Side, Side]


def trial_card(canary: CanaryOut | None) -> TrialCard | None:
    """The release on trial for a page."""
    if canary is None:
        return None
    new = Side(canary.release, True, canary.percent, canary.requests, canary.errors, canary.latency)
    old = Side(canary.old_release, False, 100 - canary.percent, canary.old_requests, canary.old_errors, canary.old_latency)
    return TrialCard(canary.release, canary.state, canary.slots, canary.percent, (new, old))


@dataclass(frozen=True, slots=True)
class SleepForm:
    """The form of when a site sleeps: minutes, "" where the plan's hold."""

    source: str
    freeze: str
    stop: str
    plan_freeze: str
    plan_stop: str
    may_never: bool


def sleep_form(channel: Channel, settings: SettingsOut) -> SleepForm:
    """What the form shows first."""

    def minutes(seconds: float | None) -> str:
        return "" if seconds is None else f"{seconds / 60:g}"

    return SleepForm(
        source=settings.sleep.source,
        freeze=minutes(channel.freeze_after_seconds),
        stop=minutes(channel.stop_after_seconds),
        plan_freeze=str(settings.plan.freeze_after_minutes),
        plan_stop=str(settings.plan.stop_after_minutes),
        may_never=settings.plan.always_on,
    )


def cron_result(one: CronOut) -> str:
    """How the last run ended, in a word or a sentence."""
    if one.running:
        return "runs now"
    return one.last_result or ("" if one.last_at is None else "ended")
