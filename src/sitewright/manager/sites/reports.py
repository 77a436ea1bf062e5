"""What nodes say, written into rows. A node's word is about its own channels only."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.db.models import Q
from pydantic import TypeAdapter

from sitewright.bus.messages import DesiredDifference, DesiredDigest, Heartbeat, Hello
from sitewright.domain.desired import ActualCanary, ActualChannel, ActualCron, CanaryState
from sitewright.domain.sleep import SleepStage
from sitewright.domain.states import InstanceState
from sitewright.errors import ConflictError, SitewrightError
from sitewright.manager.bus import NodeClient
from sitewright.manager.releases.models import Trial
from sitewright.manager.releases.returning import judged
from sitewright.manager.runtime import runtime
from sitewright.manager.sites import desired
from sitewright.manager.sites.models import Channel, Instance, Node, RemovedChannel

LONGEST_ID = 64
LAST_REQUEST_SECONDS = 10.0
REPORTED = (
    *("site_id", "observed_generation", "applied", "problem", "observed_at"),
    *("sleep_stage", "sleep_since", "saved_bytes", "last_request_at", "canary_report", "crons"),
)
"""The columns of a channel that a report is compared with."""
STAGES = frozenset(stage.value for stage in SleepStage)
_CANARY = TypeAdapter(ActualCanary)
_CRON = TypeAdapter(ActualCron)

log = logging.getLogger(__name__)


def record_hello(hello: Hello) -> None:
    """A node is there (again); its count of heartbeats begins anew."""
    now = _moment(runtime().clock.now())
    Node.objects.update_or_create(
        name=hello.node, defaults={"version": hello.version, "engine": hello.engine, "seen_at": now, "sequence": 0}
    )


def record_heartbeat(beat: Heartbeat) -> list[str]:
    """Keep it; ids of the sites whose applied generation or problem changed. One that was overtaken by a later one is passed over."""
    now = _moment(runtime().clock.now())
    fields = {
        "seen_at": now,
        "sequence": beat.sequence,
        "said_at": beat.at,
        "memory_total": beat.memory_total,
        "memory_used": beat.memory_used,
        "builds_running": beat.builds_running,
    }
    newer = Node.objects.filter(name=beat.node).filter(Q(sequence__lt=beat.sequence) | Q(said_at__lt=beat.at))
    if not newer.update(**fields):
        _, made = Node.objects.get_or_create(name=beat.node, defaults=fields)
        if not made:
            return []
    with transaction.atomic():
        return _record_channels(beat, now)


def _record_channels(beat: Heartbeat, now: datetime) -> list[str]:
    """A fixed number of queries, and some for each channel that changed or runs something: most of ten thousand sleep."""
    named = [one.channel_id for one in beat.channels]
    rows = {row.id: row for row in Channel.objects.filter(node=beat.node, id__in=named).only(*REPORTED)} if named else {}
    empty = [one.channel_id for one in beat.channels if not one.instances]
    if empty:
        Instance.objects.filter(channel_id__in=empty, node=beat.node).delete()
    return [row.site_id for one in beat.channels if (row := rows.get(one.channel_id)) and _record_channel(row, one, beat.node, now)]


def forget_instances(node: str, before: float) -> None:
    """After a full report: instances that the node has not named since *before* (seconds since the epoch) are of channels that it does
    not hold."""
    Instance.objects.filter(node=node, seen_at__lt=_moment(before)).delete()


def _record_channel(row: Channel, one: ActualChannel, node: str, now: datetime) -> bool:
    """Whether something that an operation may wait for has changed."""
    fields: dict[str, Any] = {"observed_generation": one.generation, "applied": one.applied, "problem": one.problem, **_life(row, one)}
    changed = {name: value for name, value in fields.items() if getattr(row, name) != value}
    if changed:
        Channel.objects.filter(id=row.id).update(**changed, observed_at=now)
    if one.instances:
        _record_instances(row, one, node, now)
    awaited = {"observed_generation", "applied", "problem"} & set(changed)
    return bool(awaited) or _trial_of(row.canary_report) != _trial_of(fields["canary_report"])


def _life(row: Channel, one: ActualChannel) -> dict[str, Any]:
    """What the node says of sleep, trial and cron, as columns."""
    stage = one.sleep if one.sleep in STAGES else SleepStage.AWAKE.value
    last = _when(one.last_request_at)
    # A busy site is visited all the time: a row is not written for every beat.
    if last is not None and row.last_request_at is not None and 0 <= (last - row.last_request_at).total_seconds() < LAST_REQUEST_SECONDS:
        last = row.last_request_at
    return {
        "sleep_stage": stage,
        "sleep_since": _when(one.sleep_since),
        "saved_bytes": max(one.saved_bytes, 0),
        "last_request_at": last or row.last_request_at,
        "canary_report": _CANARY.dump_python(one.canary, mode="json") if one.canary is not None else row.canary_report,
        "crons": [_CRON.dump_python(cron, mode="json") for cron in one.crons],
    }


def _trial_of(report: Any) -> tuple[str, str]:
    return (report.get("release_id", ""), report.get("state", "")) if report else ("", "")


def forget_aborted(beat: Heartbeat) -> list[str]:
    """Forget every release on trial that its node has taken out by itself; ids of the channels whose node has to hear of that."""
    out = {one.channel_id: one.canary for one in beat.channels if one.canary is not None and one.canary.state is CanaryState.ABORTED}
    forgotten = []
    for row in Channel.objects.filter(node=beat.node, id__in=out).select_related("site__team"):
        report = out[row.id]
        if row.canary_release_id != report.release_id:
            continue
        try:
            with transaction.atomic():
                desired.change(row, canary_release_id=None, canary_slots=0)
                judged(report.release_id, Trial.ABORTED, report.reason)
        except ConflictError:
            continue  # its next word says it again
        forgotten.append(row.id)
    return forgotten


def _record_instances(row: Channel, one: ActualChannel, node: str, now: datetime) -> None:
    known = {state.value for state in InstanceState} - {InstanceState.GONE.value}
    living = [instance for instance in one.instances if instance.state in known and len(instance.id) <= LONGEST_ID]
    Instance.objects.filter(channel=row).exclude(id__in=[instance.id for instance in living]).delete()
    fields = ("process", "release_id", "state", "since", "node", "memory_bytes", "cpu_seconds", "restarts", "reason", "seen_at")
    Instance.objects.bulk_create(
        [
            Instance(
                id=instance.id,
                channel=row,
                process=instance.process[:20],
                release_id=instance.release_id[:12],
                state=instance.state,
                since=_moment(instance.since),
                node=node,
                memory_bytes=instance.memory_bytes,
                cpu_seconds=instance.cpu_seconds,
                restarts=instance.restarts,
                reason=instance.reason,
                seen_at=now,
            )
            for instance in living
        ],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=fields,
    )


def compare(node: str, *, full: bool = True) -> DesiredDifference:
    """Ask the node what it lacks or holds in excess, and repair it; *full* if it is to report everything, too. Raises UnavailableError.

    A channel in excess is removed only if it was deleted here (its tombstone is kept); an unknown one is left alone and logged, so that
    an old database never deletes a site.
    """
    buried = RemovedChannel.objects.filter(node=node)
    rows = Channel.objects.filter(node=node, generation__gt=0).exclude(id__in=buried.values("id"))
    generations = dict(rows.values_list("id", "generation"))
    answer = NodeClient(runtime().bus, node).ask("desired.compare", DesiredDigest(generations=generations, full=full), DesiredDifference)
    for channel_id in answer.wanted:
        if channel_id in generations:
            _repair(channel_id)
    for channel_id in answer.excess:
        if buried.filter(id=channel_id).exists():
            _repair(channel_id)
        else:
            log.warning("node.unknown_channel", extra={"node": node, "channel": channel_id})
    return answer


def push_soon(channel_ids: Iterable[str]) -> None:
    """Tell nodes what is wanted of these channels; what cannot be told now is told by the next comparison."""
    for channel_id in channel_ids:
        _repair(channel_id)


def _repair(channel_id: str) -> None:
    try:
        desired.push(channel_id)
        log.info("desired.repaired", extra={"channel": channel_id})
    except SitewrightError as error:
        log.warning("desired.not_repaired", extra={"channel": channel_id, "reason": str(error)})


def heartbeat_age(node: str) -> float | None:
    """Seconds since that node last spoke; None when it never did."""
    seen = Node.objects.filter(name=node).values_list("seen_at", flat=True).first()
    return None if seen is None else max(runtime().clock.now() - seen.timestamp(), 0.0)


def _when(seconds: float) -> datetime | None:
    return _moment(seconds) if seconds > 0 else None


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
