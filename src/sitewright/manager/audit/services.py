"""Writing down what happened and who did it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sitewright.domain.channel import PRODUCTION
from sitewright.domain.events import Event, EventKind
from sitewright.domain.identity import new_id
from sitewright.manager.accounts.models import User
from sitewright.manager.audit.models import AuditEntry, TimelineEvent
from sitewright.manager.operations.models import Operation
from sitewright.manager.runtime import runtime
from sitewright.manager.sites.models import Channel, Site

AGAIN = frozenset(kind for kind in EventKind if kind.value.endswith("failed"))
"""What is told at every try of an operation."""


def happened(operation: Operation, kind: EventKind, text: str) -> None:
    """A line in the timeline of the operation's site; once a kind and operation, however often it is said."""
    if operation.site_id is None:
        return
    event = TimelineEvent(
        id=f"{operation.id}-{operation.fence if kind in AGAIN else 0}-{kind.value}",
        site_id=operation.site_id,
        kind=kind.value,
        at=_moment(runtime().clock.now()),
        channel_id=operation.channel_id or "",
        text=_of_channel(operation.channel, text),
        who=operation.created_by.email if operation.created_by else "",
        operation_id=operation.id,
    )
    TimelineEvent.objects.bulk_create([event], ignore_conflicts=True)


def _of_channel(channel: Channel | None, text: str) -> str:
    """Whoever reads the timeline of a site takes what is said for production, unless it says something else."""
    return text if channel is None or channel.name == PRODUCTION else f"{channel.name}: {text}"


def noted(site_id: str, kind: EventKind, text: str, user: User | None, channel: Channel | None = None) -> None:
    """A line in a site's timeline that belongs to no operation."""
    if Site.objects.filter(id=site_id).exists():
        who = user.email if user else ""
        TimelineEvent.objects.create(
            id=new_id(),
            site_id=site_id,
            channel_id=channel.id if channel else "",
            kind=kind.value,
            at=_moment(runtime().clock.now()),
            text=_of_channel(channel, text),
            who=who,
        )


def record_events(events: Iterable[Event]) -> int:
    """Keep what a node saw. Known ids and sites that are gone are passed over; the number kept."""
    listed = list(events)
    known = set(Site.objects.filter(id__in={event.site_id for event in listed}).values_list("id", flat=True))
    rows = [
        TimelineEvent(
            id=event.id[:64],
            site_id=event.site_id,
            channel_id=event.channel_id,
            kind=event.kind.value,
            at=_moment(event.at),
            text=event.text,
            who=event.who,
        )
        for event in listed
        if event.site_id in known
    ]
    return len(TimelineEvent.objects.bulk_create(rows, ignore_conflicts=True))


def trail(user: User | None, action: str, subject: str = "", name: str = "", **detail: Any) -> AuditEntry:
    """An entry of the audit trail. *detail* may hold `address`; never values of variables."""
    address = str(detail.pop("address", ""))
    return AuditEntry.objects.create(
        at=_moment(runtime().clock.now()),
        user=user,
        who=user.email if user else "",
        action=action,
        subject=subject,
        subject_name=name,
        address=address,
        detail=detail,
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
