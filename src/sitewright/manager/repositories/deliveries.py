"""Acting upon what web hooks have brought: each delivery once, also when whoever does it is killed."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction

from sitewright.domain.events import EventKind, as_told
from sitewright.domain.identity import new_id
from sitewright.errors import ConflictError, SitewrightError
from sitewright.manager.accounts.models import User
from sitewright.manager.audit.services import noted, trail
from sitewright.manager.operations.claims import moment
from sitewright.manager.operations.models import Operation
from sitewright.manager.repositories import bell, previews
from sitewright.manager.repositories.models import Connection, Delivery, Outcome
from sitewright.manager.repositories.receiving import unseal
from sitewright.manager.repositories.syncing import Why, ask_sync
from sitewright.manager.repositories.vendors import scheme
from sitewright.manager.repositories.vendors.values import HookEvent, Ignored, Ping, PullChanged, Pushed
from sitewright.manager.runtime import runtime

log = logging.getLogger(__name__)

MOST_AT_ONCE = 20
KEPT_DAYS = 30
KEPT_EACH = 200
LARGEST_KEPT = 256 * 1024
"""Characters of a sealed body that are kept after it was acted upon."""
SHORT = 10


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a delivery; ``detail`` is a sentence."""

    outcome: Outcome
    detail: str = ""
    operation: Operation | None = None


def act_due() -> int:
    """Act upon everything that was received; how many."""
    due = list(Delivery.objects.filter(outcome=Outcome.RECEIVED.value).order_by("received_at").values_list("id", flat=True)[:MOST_AT_ONCE])
    for delivery_id in due:
        act(delivery_id)
    return len(due)


def act(delivery_id: str) -> None:
    """Act upon one, unless somebody else did. Taking it and what follows are one transaction: there is no half."""
    try:
        with transaction.atomic():
            mine = Delivery.objects.filter(id=delivery_id, outcome=Outcome.RECEIVED.value).update(outcome=Outcome.ACTED.value)
            if mine:
                row = Delivery.objects.select_related("connection__site__team").get(id=delivery_id)
                _close(row, _follow(row))
    except SitewrightError as error:
        _fail(delivery_id, str(error))
    except Exception:
        log.exception("delivery.failed", extra={"delivery": delivery_id})
        _fail(delivery_id, "Something went wrong inside the platform; the platform's log says what.")


def _fail(delivery_id: str, why: str) -> None:
    rows = Delivery.objects.filter(id=delivery_id, outcome=Outcome.RECEIVED.value)
    rows.update(outcome=Outcome.FAILED.value, detail=why[:1000])


def _close(row: Delivery, result: Result) -> None:
    row.outcome, row.detail, row.operation = result.outcome.value, result.detail[:1000], result.operation
    if len(row.sealed_body) > LARGEST_KEPT:
        row.sealed_body = ""
    row.save(update_fields=["outcome", "detail", "operation", "summary", "sealed_body"])


def _follow(row: Delivery) -> Result:
    connection = row.connection
    said = scheme(connection.vendor).parse(row.event, row.headers, unseal(row.sealed_body))
    row.summary = in_words(said)[:200]
    if isinstance(said, Ignored):
        return Result(Outcome.IGNORED, said.reason)
    if isinstance(said, Ping):
        return Result(Outcome.ACTED, "The web hook works.")
    if said.project and said.project.lower() != connection.project.lower():
        return Result(Outcome.IGNORED, f"It is about {said.project}; this site is connected with {connection.project}.")
    result = _pushed(connection, said) if isinstance(said, Pushed) else _pull(connection, said, again=row.again_of_id is not None)
    if result.outcome is Outcome.ACTED:
        noted(connection.site_id, EventKind.HOOK_RECEIVED, f"From {connection.vendor}: {row.summary}.", None)
    return result


def _pushed(connection: Connection, said: Pushed) -> Result:
    """Whatever it says: what is there is fetched, and compared with what was known."""
    operation = ask_sync(connection, Why(in_words(said)))
    return Result(Outcome.ACTED, "The repository is fetched.", operation)


def _pull(connection: Connection, said: PullChanged, *, again: bool) -> Result:
    told = previews.told(connection, said, again=again)
    return Result(Outcome.IGNORED if told.ignored else Outcome.ACTED, told.detail, told.operation)


def in_words(said: HookEvent) -> str:
    """One line for the log and the timeline; what a stranger wrote is shortened, and steers no screen."""
    if isinstance(said, Pushed):
        what = as_told(said.branch or (f"tag {said.tag}" if said.tag else "something"))
        how = "deleted" if said.project and not said.new else f"pushed {said.new[:SHORT]}".strip()
        return f"{as_told(said.who, 40) or 'somebody'} {how}, {what}" if said.ref else "somebody pushed"
    if isinstance(said, PullChanged):
        fork = f" from the fork {as_told(said.head_project or '(gone)')}" if said.fork else ""
        return f"#{said.number} “{as_told(said.title)}” {'merged' if said.merged else said.action.value}{fork}"
    if isinstance(said, Ping):
        return "a ping"
    return ""


def again(user: User, delivery: Delivery) -> Delivery:
    """Act upon it once more. Raises ConflictError when its body was too large to be kept."""
    if not delivery.sealed_body:
        raise ConflictError("This delivery was too large to be kept.", resolution="Have it sent again from over there, or fetch.")
    row = Delivery.objects.create(
        connection=delivery.connection,
        delivery=f"again-{new_id()}",
        event=delivery.event,
        headers=delivery.headers,
        sealed_body=delivery.sealed_body,
        again_of=delivery,
        received_at=moment(runtime().clock.now()),
    )
    trail(user, "repository.redelivered", delivery.connection.site_id, delivery.connection.site.name, delivery=delivery.id)
    transaction.on_commit(bell.ring)
    return row


def forget_old() -> None:
    """Keep 30 days, and at most 200 a connection."""
    Delivery.objects.filter(received_at__lt=moment(runtime().clock.now()) - timedelta(days=KEPT_DAYS)).delete()
    for connection_id in Delivery.objects.values_list("connection", flat=True).order_by().distinct():
        rows = Delivery.objects.filter(connection=connection_id)
        oldest = rows.values_list("received_at", flat=True)[KEPT_EACH : KEPT_EACH + 1]
        for at in oldest:
            rows.filter(received_at__lte=at).exclude(outcome=Outcome.RECEIVED.value).delete()
