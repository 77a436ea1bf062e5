"""Asking for work, cancelling it, doing it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction

from sitewright.domain.channel import PRODUCTION
from sitewright.domain.operation import LONGEST_SECONDS, OperationKind
from sitewright.domain.states import FINAL_OPERATION_STATES, OperationState, StepState, check_transition
from sitewright.errors import ConflictError, InvalidValueError
from sitewright.manager.accounts.models import User
from sitewright.manager.operations import claims
from sitewright.manager.operations.lanes import WHOLE_SITE, lane_of
from sitewright.manager.operations.models import Operation, Step
from sitewright.manager.runtime import runtime
from sitewright.manager.sites.models import Channel, Site


@dataclass(frozen=True, slots=True)
class Ask:
    """What somebody wants done. ``key``: asking again with the same key gives the same operation."""

    kind: OperationKind
    site: Site
    user: User | None
    params: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    channel: Channel | None = None
    """What it is about; None is the site's production, for kinds that are about one channel."""


def known(user: User | None, key: str, kind: OperationKind, site: Site | None = None, channel: Channel | None = None) -> Operation | None:
    """The operation that this person has asked for with this key before. Raises ConflictError when it was of another kind, or about another
    site or channel: an answer about that one would be taken for one about this."""
    if not key or user is None:
        return None
    if len(key) > 128:
        raise InvalidValueError("The Idempotency-Key is too long.", details="128 characters are the most.")
    before = Operation.objects.filter(created_by=user, idempotency_key=key).first()
    if before is not None and not (before.kind == kind.value and _is_about(before, site, channel)):
        raise ConflictError("This Idempotency-Key was used for something else before.", resolution="Use a new key for each request.")
    return before


def _is_about(before: Operation, site: Site | None, channel: Channel | None) -> bool:
    other_channel = channel is not None and before.channel_id not in {None, channel.id}
    return (site is None or before.site_id == site.id) and not other_channel


def submit(ask: Ask) -> Operation:
    """Record the operation with its steps; workers are told after the commit."""
    before = known(ask.user, ask.key, ask.kind, ask.site, ask.channel)
    if before is not None:
        return before
    try:
        with transaction.atomic():
            operation = _record(ask)
            transaction.on_commit(lambda: _changed(operation.id))
    except IntegrityError:
        again = known(ask.user, ask.key, ask.kind, ask.site, ask.channel)
        if again is None:
            raise
        return again
    return operation


def _record(ask: Ask) -> Operation:
    now = runtime().clock.now()
    channel = ask.channel
    if channel is None and ask.kind not in {*WHOLE_SITE, OperationKind.SYNC}:
        channel = Channel.objects.filter(site=ask.site, name=PRODUCTION).first()
    operation = Operation.objects.create(
        kind=ask.kind.value,
        site=ask.site,
        channel=channel,
        lane=lane_of(ask.kind, ask.site, channel),
        site_name=ask.site.name,
        team_id=ask.site.team_id,
        created_by=ask.user,
        params=dict(ask.params),
        idempotency_key=ask.key or None,
        created_at=claims.moment(now),
        run_after=claims.moment(now),
        deadline=claims.moment(now + LONGEST_SECONDS),
    )
    plans = runtime().handlers[ask.kind].steps
    Step.objects.bulk_create(Step(operation=operation, index=index, name=plan.name, title=plan.title) for index, plan in enumerate(plans))
    return operation


def cancel(operation: Operation) -> Operation:
    """End it: at once when it has not begun, else at the next safe point. Raises ConflictError when it is over or it is too late."""
    if OperationState(operation.state) in FINAL_OPERATION_STATES:
        raise ConflictError("This is over already.", details=f"It has {operation.state}.")
    runtime().handlers[OperationKind(operation.kind)].check_cancel(operation)
    now = runtime().clock.now()
    with transaction.atomic():
        unstarted = Operation.objects.filter(id=operation.id, state=OperationState.QUEUED.value, step=0).update(
            state=OperationState.CANCELLED.value,
            finished_at=claims.moment(now),
            error_code="cancelled",
            error_message="This was cancelled before it began.",
        )
        if unstarted:
            Step.objects.filter(operation=operation, state=StepState.PENDING.value).update(state=StepState.SKIPPED.value)
        else:
            Operation.objects.filter(id=operation.id).exclude(state__in=[state.value for state in FINAL_OPERATION_STATES]).update(
                cancel_asked=True
            )
            claims.wake(operation.id, now)
        transaction.on_commit(lambda: _changed(operation.id))
    operation.refresh_from_db()
    return operation


def retry(operation: Operation) -> Operation:
    """Queue a failed or cancelled one again, from the step that it did not finish. Raises ConflictError for others or without a site."""
    check_transition(OperationState(operation.state), OperationState.QUEUED)
    if operation.site_id is None:
        raise ConflictError("The site of this operation is gone.")
    now = runtime().clock.now()
    with transaction.atomic():
        changed = Operation.objects.filter(id=operation.id, state=operation.state).update(
            state=OperationState.QUEUED.value,
            run_after=claims.moment(now),
            deadline=claims.moment(now + LONGEST_SECONDS),
            attempts=0,
            cancel_asked=False,
            finished_at=None,
            params=_without_unfinished(operation),
            error_code="",
            error_message="",
            error_details="",
            error_resolution="",
        )
        if not changed:
            raise ConflictError("Somebody else has just changed this operation.")
        Step.objects.filter(operation=operation, index__gte=operation.step).update(
            state=StepState.PENDING.value, detail="", attempts=0, started_at=None, finished_at=None
        )
        transaction.on_commit(lambda: _changed(operation.id))
    operation.refresh_from_db()
    return operation


def _without_unfinished(operation: Operation) -> dict[str, Any]:
    """What was asked for and what finished steps have found; an unfinished one begins anew."""
    done = set(Step.objects.filter(operation=operation, state=StepState.DONE.value).values_list("name", flat=True))
    found = {name: values for name, values in operation.params.get("found", {}).items() if name in done}
    return {**operation.params, "found": found}


def _changed(operation_id: str) -> None:
    """There is work on it, and something to show."""
    runtime().doorbell.ring(operation_id)
    runtime().changes.tell(operation_id)


def ring_site(site_id: str) -> None:
    """Something that this site's operations may wait for has happened."""
    for active in Operation.objects.filter(site_id=site_id, state__in=claims.ACTIVE).values_list("id", flat=True):
        if claims.wake(active, runtime().clock.now()):
            runtime().doorbell.ring(active, goes_on=True)
