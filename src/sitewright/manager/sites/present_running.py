"""How a site runs, from rows to what the API shows; pages take their figures from here too."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Literal

from sitewright.domain.desired import Strategy
from sitewright.domain.limits import MIB
from sitewright.domain.route import SLOTS, Affinity
from sitewright.domain.sleep import SleepStage
from sitewright.domain.states import LIVING_INSTANCE_STATES, InstanceState
from sitewright.manager.releases.models import Release, Trial
from sitewright.manager.sites.models import Channel, Instance
from sitewright.manager.sites.scale import MOST_COPIES, process_rows
from sitewright.manager.sites.schemas_running import (
    CanaryOut,
    CronOut,
    PolicyOut,
    ProcessOut,
    ScaleOut,
    SettingsOut,
    SleepOut,
    TrialOut,
    VerdictOut,
    VisitsOut,
)
from sitewright.manager.sites.wishes import sleep_seconds
from sitewright.manager.teams.allowance import Allowance, sleep_of, visits_of
from sitewright.manager.teams.plans import Book, allowance_of
from sitewright.manager.teams.schemas import plan_out
from sitewright.manager.teams.services import quota, usage

LIVING = frozenset(state.value for state in LIVING_INSTANCE_STATES)


def policy_out(channel: Channel, allowance: Allowance) -> PolicyOut:
    """When it sleeps, and who said so."""
    freeze, stop = sleep_seconds(channel)
    policy = sleep_of(allowance, freeze, stop)
    source: Literal["default", "never", "own"] = "own" if policy.sleeps else "never"
    if freeze is None and stop is None:
        source = "default"
    return PolicyOut(freeze_after_seconds=policy.freeze_after_seconds, stop_after_seconds=policy.stop_after_seconds, source=source)


def sleep_out(channel: Channel, allowance: Allowance) -> SleepOut:
    """How deep it sleeps."""
    return SleepOut(
        stage=SleepStage(channel.sleep_stage),
        since=channel.sleep_since,
        saved_bytes=channel.saved_bytes,
        policy=policy_out(channel, allowance),
    )


def canary_out(channel: Channel) -> CanaryOut | None:
    """The release on trial, with what its node said of it."""
    release = channel.canary_release
    if release is None:
        return None
    report = channel.canary_report or {}
    said = report if report.get("release_id") == release.id else {}
    return CanaryOut(
        release=release.number,
        slots=channel.canary_slots,
        percent=channel.canary_slots / SLOTS * 100,
        state=said.get("state", "starting"),
        requests=said.get("requests", 0),
        errors=said.get("errors", 0),
        latency=said.get("latency", 0.0),
        old_release=channel.release.number if channel.release else None,
        old_requests=said.get("old_requests", 0),
        old_errors=said.get("old_errors", 0),
        old_latency=said.get("old_latency", 0.0),
        reason=said.get("reason", ""),
    )


def trial_out(channel: Channel) -> TrialOut:
    """The trial now and the last verdict."""
    ended = (Trial.PROMOTED.value, Trial.ABORTED.value)
    last = Release.objects.filter(channel=channel, trial__in=ended).order_by("-number").first()
    verdict = VerdictOut(release=last.number, verdict=last.trial, reason=last.trial_reason) if last else None
    return TrialOut(canary=canary_out(channel), last=verdict)


def scale_out(channel: Channel) -> ScaleOut:
    """Every process type with its scale."""
    team = channel.site.team
    book = Book()
    allowance = book.allowance(team)
    counts = Counter(Instance.objects.filter(channel=channel).values_list("process", "state"))
    tried = Counter(Instance.objects.filter(channel=channel, release_id=channel.canary_release_id or "").values_list("process", "state"))
    items = [
        ProcessOut(
            process=row.spec.type,
            command=row.spec.own_words,
            count=row.scale.count,
            ready=counts[row.spec.type, InstanceState.READY.value] - tried[row.spec.type, InstanceState.READY.value],
            living=sum(number for (process, state), number in counts.items() if process == row.spec.type and state in LIVING),
            memory_mb=row.scale.limits.memory_bytes // MIB,
            cpu_millicores=row.scale.limits.cpu_millicores,
            most_count=MOST_COPIES,
            most_memory_mb=allowance.process.memory_bytes // MIB,
            most_cpu_millicores=allowance.process.cpu_millicores,
            fixed=row.fixed,
            schedule=row.spec.schedule.expression if row.spec.schedule else "",
        )
        for row in process_rows(channel, allowance)
    ]
    return ScaleOut(
        items=items,
        next=None,
        memory_mb=channel.wanted_memory_bytes // MIB,
        team_memory_mb=quota(team).memory_bytes // MIB,
        team_used_memory_mb=usage(team).memory_bytes // MIB,
    )


def settings_out(channel: Channel) -> SettingsOut:
    """What holds for it now."""
    plan = Book().plan(channel.site.team)
    allowance = allowance_of(plan)
    visits = visits_of(allowance, channel.visits or {})
    return SettingsOut(
        sleep=policy_out(channel, allowance),
        affinity=Affinity(channel.affinity),
        strategy=Strategy(channel.strategy),
        max_surge=channel.max_surge,
        visits=VisitsOut(connections=visits.connections, requests_per_second=visits.requests_per_second, body_mb=visits.body_mb),
        plan=plan_out(plan),
    )


def crons_out(channel: Channel, allowance: Allowance) -> list[CronOut]:
    """Its cron processes, with what the node said of them."""
    said = {one.get("process"): one for one in channel.crons or []}
    rows = []
    for row in process_rows(channel, allowance):
        schedule, report = row.spec.schedule, said.get(row.spec.type, {})
        if schedule is None:
            continue
        rows.append(
            CronOut(
                process=row.spec.type,
                schedule=schedule.expression,
                timezone=schedule.timezone,
                overlap=schedule.overlap,
                command=row.spec.command,
                next_at=_when(report.get("next_at", 0.0)),
                last_at=_when(report.get("last_at", 0.0)),
                last_seconds=report.get("last_seconds", 0.0),
                last_result=report.get("last_result", ""),
                running=report.get("running", 0),
            )
        )
    return rows


def _when(seconds: float) -> datetime | None:
    return datetime.fromtimestamp(seconds, tz=UTC) if seconds > 0 else None
