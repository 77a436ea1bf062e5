"""What nodes say, written into rows. A node's word is about its own channels only."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from django.db.models import Q

from sitewright.bus.messages import DesiredDifference, DesiredDigest, Heartbeat, Hello
from sitewright.domain.desired import ActualChannel
from sitewright.domain.states import InstanceState
from sitewright.errors import SitewrightError
from sitewright.manager.bus import NodeClient
from sitewright.manager.runtime import runtime
from sitewright.manager.sites import desired
from sitewright.manager.sites.models import Channel, Instance, Node, RemovedChannel

LONGEST_ID = 64

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
    rows = {row.id: row for row in Channel.objects.filter(node=beat.node, id__in=[one.channel_id for one in beat.channels])}
    news = [row.site_id for one in beat.channels if (row := rows.get(one.channel_id)) and _record_channel(row, one, beat.node, now)]
    if beat.full:
        held = [one.channel_id for one in beat.channels]
        Instance.objects.filter(node=beat.node).exclude(channel_id__in=held).delete()
    return news


def _record_channel(row: Channel, one: ActualChannel, node: str, now: datetime) -> bool:
    """Whether something that an operation may wait for has changed."""
    before = (row.observed_generation, row.applied, row.problem)
    after = (one.generation, one.applied, one.problem)
    if before != after:
        Channel.objects.filter(id=row.id).update(
            observed_generation=one.generation, applied=one.applied, problem=one.problem, observed_at=now
        )
    _record_instances(row, one, node, now)
    return before != after


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


def compare(node: str) -> DesiredDifference:
    """Ask the node what it lacks or holds in excess, and repair it. Raises UnavailableError.

    A channel in excess is removed only if it was deleted here (its tombstone is kept); an unknown one is left alone and logged, so that
    an old database never deletes a site.
    """
    buried = RemovedChannel.objects.filter(node=node)
    rows = Channel.objects.filter(node=node, generation__gt=0).exclude(id__in=buried.values("id"))
    generations = dict(rows.values_list("id", "generation"))
    answer = NodeClient(runtime().bus, node).ask("desired.compare", DesiredDigest(generations=generations), DesiredDifference)
    for channel_id in answer.wanted:
        if channel_id in generations:
            _repair(channel_id)
    for channel_id in answer.excess:
        if buried.filter(id=channel_id).exists():
            _repair(channel_id)
        else:
            log.warning("node.unknown_channel", extra={"node": node, "channel": channel_id})
    return answer


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


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
