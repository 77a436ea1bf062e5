"""Who works on an operation. Every function here is one conditional update; the number of changed rows is the answer."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import IntegrityError, transaction
from django.db.models import Exists, F, Min, OuterRef, Q

from sitewright.domain.states import OperationState
from sitewright.manager.operations.handlers import StaleWorkerError
from sitewright.manager.operations.lanes import in_the_way, others_in_the_way
from sitewright.manager.operations.models import Operation
from sitewright.manager.sites.models import Site

LEASE_SECONDS = 8.0
"""A killed worker's work goes on within this and a look of the reaper: 10 s in all."""
CLAIMABLE = (OperationState.QUEUED.value, OperationState.WAITING.value)
ACTIVE = (OperationState.RUNNING.value, OperationState.WAITING.value)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write to an operation, as long as the row's fence is this one."""

    operation_id: str
    fence: int


def moment(seconds: float) -> datetime:
    """Seconds since the epoch as the database keeps it."""
    return datetime.fromtimestamp(seconds, tz=UTC)


def ahead() -> tuple[float, float]:
    """When the next operation is due and when the next lease ends, in seconds since the epoch; infinite when there is none."""
    rows = Operation.objects.filter(state__in=(*CLAIMABLE, OperationState.RUNNING.value))
    claimable, running = Q(state__in=CLAIMABLE), Q(state=OperationState.RUNNING.value)
    found = rows.aggregate(due=Min("run_after", filter=claimable), ends=Min("lease_until", filter=running))
    due_at, ends_at = (math.inf if one is None else one.timestamp() for one in (found["due"], found["ends"]))
    return due_at, ends_at


def due(now: float, limit: int = 20) -> list[str]:
    """Ids that could be claimed now, oldest first: waiting ones whose time has come, queued ones whose lane is free."""
    # Nearly always there is nothing, and the whole question takes seven times as long to put.
    if not Operation.objects.filter(state__in=CLAIMABLE, run_after__lte=moment(now)).exists():
        return []
    busy = in_the_way().filter(state__in=ACTIVE)
    older = (
        in_the_way()
        .filter(state=OperationState.QUEUED.value)
        .filter(Q(run_after__lt=OuterRef("run_after")) | Q(run_after=OuterRef("run_after"), id__lt=OuterRef("id")))
    )
    free = Q(site=None) | (~Exists(busy) & ~Exists(older))
    ready = Q(state=OperationState.WAITING.value) | (Q(state=OperationState.QUEUED.value) & free)
    rows = Operation.objects.filter(ready, run_after__lte=moment(now)).order_by("run_after", "id")
    return list(rows.values_list("id", flat=True)[:limit])


def claim(operation_id: str, owner: str, now: float) -> Operation | None:
    """Take it, or None when somebody else was faster or its lane got busy meanwhile."""
    row = Operation.objects.filter(id=operation_id).first()
    if row is None:
        return None
    try:
        with transaction.atomic():
            if row.state == OperationState.QUEUED and not _free(row):
                return None
            taken = Operation.objects.filter(id=operation_id, fence=row.fence, state=row.state, state__in=CLAIMABLE).update(
                state=OperationState.RUNNING.value,
                fence=F("fence") + 1,
                lease_owner=owner,
                lease_until=moment(now + LEASE_SECONDS),
                started_at=row.started_at or moment(now),
            )
    except IntegrityError:
        return None
    return Operation.objects.get(id=operation_id) if taken else None


def _free(operation: Operation) -> bool:
    """Whether nothing is in its way. Under the lock of the site's row: nobody else begins something between looking and writing."""
    if operation.site_id is None:
        return True
    list(Site.objects.select_for_update().filter(id=operation.site_id).values_list("id"))
    return not others_in_the_way(operation).filter(state__in=ACTIVE).exists()


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
