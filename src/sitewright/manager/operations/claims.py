"""Who works on an operation. Every function here is one conditional update; the number of changed rows is the answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef, Q

from sitewright.domain.states import OperationState
from sitewright.manager.operations.handlers import StaleWorkerError
from sitewright.manager.operations.models import Operation

LEASE_SECONDS = 8.0
"""A killed worker's work goes on within this and a look of the reaper: 10 s in all."""
ACTIVE = (OperationState.RUNNING.value, OperationState.WAITING.value)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write to an operation, as long as the row's fence is this one."""

    operation_id: str
    fence: int


def moment(seconds: float) -> datetime:
    """Seconds since the epoch as the database keeps it."""
    return datetime.fromtimestamp(seconds, tz=UTC)


def due(now: float, limit: int = 20) -> list[str]:
    """Ids that could be claimed now, oldest first: waiting ones whose time has come, queued ones whose site is free."""
    waiting = [OperationState.QUEUED.value, OperationState.WAITING.value]
    # Asked every second, and nearly always there is nothing: the whole question takes seven times as long to put.
    if not Operation.objects.filter(state__in=waiting, run_after__lte=moment(now)).exists():
        return []
    busy = Operation.objects.filter(site=OuterRef("site"), state__in=ACTIVE)
    older = Operation.objects.filter(site=OuterRef("site"), state=OperationState.QUEUED.value).filter(
        Q(run_after__lt=OuterRef("run_after")) | Q(run_after=OuterRef("run_after"), id__lt=OuterRef("id"))
    )
    free = Q(site=None) | (~Exists(busy) & ~Exists(older))
    ready = Q(state=OperationState.WAITING.value) | (Q(state=OperationState.QUEUED.value) & free)
    rows = Operation.objects.filter(ready, run_after__lte=moment(now)).order_by("run_after", "id")
    return list(rows.values_list("id", flat=True)[:limit])


def claim(operation_id: str, owner: str, now: float) -> Operation | None:
    """Take it, or None when somebody else was faster or its site got busy meanwhile."""
    row = Operation.objects.filter(id=operation_id).values("fence", "started_at").first()
    if row is None:
        return None
    try:
        with transaction.atomic():
            taken = Operation.objects.filter(
                id=operation_id, fence=row["fence"], state__in=[OperationState.QUEUED.value, OperationState.WAITING.value]
            ).update(
                state=OperationState.RUNNING.value,
                fence=F("fence") + 1,
                lease_owner=owner,
                lease_until=moment(now + LEASE_SECONDS),
                started_at=row["started_at"] or moment(now),
            )
    except IntegrityError:
        return None
    return Operation.objects.get(id=operation_id) if taken else None


def hold(operation: Operation) -> None:
    """Lock the row and make sure that this claim still holds. Raises StaleWorkerError. Call inside a transaction."""
    held = Operation.objects.filter(id=operation.id, fence=operation.fence, state=OperationState.RUNNING.value)
    if not held.update(lease_owner=operation.lease_owner):
        raise StaleWorkerError


def renew(claims: Iterable[Claim], now: float) -> None:
    """Keep the leases of what this process works on; one that was taken over is left alone."""
    for one in claims:
        Operation.objects.filter(id=one.operation_id, fence=one.fence, state=OperationState.RUNNING.value).update(
            lease_until=moment(now + LEASE_SECONDS)
        )


def reap(now: float) -> int:
    """Give operations whose worker has died to whoever asks next; they keep their turn. The number of them."""
    expired = Operation.objects.filter(state=OperationState.RUNNING.value, lease_until__lt=moment(now))
    if not expired.exists():
        return 0
    return expired.update(state=OperationState.WAITING.value, fence=F("fence") + 1, run_after=moment(now), lease_owner="", lease_until=None)


def wake(operation_id: str, now: float) -> bool:
    """Make an operation due at once, also when it is about to wait: its worker then sees that ``run_after`` has changed."""
    return bool(Operation.objects.filter(id=operation_id, state__in=ACTIVE).update(run_after=moment(now)))
