"""What is told to vendors about commits and pull requests: a row each, sent by a loop, again with back-off.

Only the newest state of a commit and context counts: what was not sent yet is replaced.
"""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import F, Q

from sitewright.domain.states import FINAL_OPERATION_STATES, OperationState
from sitewright.errors import SitewrightError, UnavailableError
from sitewright.manager.operations.claims import moment
from sitewright.manager.operations.models import Operation
from sitewright.manager.repositories.models import CommitState, Connection, PullRequest, Report
from sitewright.manager.repositories.places import channel_address, operation_address, platform_address, there
from sitewright.manager.repositories.vendors import scheme
from sitewright.manager.repositories.vendors.values import Call, StatusNews, There, mark_of
from sitewright.manager.runtime import runtime
from sitewright.system.outgoing import Answer, send

log = logging.getLogger(__name__)

HELD_SECONDS = 60.0
"""Whoever sends a report has it for so long; after a kill another one sends it again."""
MOST_ATTEMPTS = 8
MOST_AT_ONCE = 10
MOST_AWAITED = 1000
KEPT_DAYS = 30
_FINAL = [state.value for state in FINAL_OPERATION_STATES]
_SAID_ALREADY = b"Cannot transition status"
"""GitLab's answer when a commit has that state already."""


class RefusedError(SitewrightError):
    """The vendor does not take it."""

    code = "report_refused"


def expect(connection: Connection, commit: str, operation: Operation, pull: PullRequest | None = None) -> None:
    """Say that *operation* deploys *commit*, and later how it ended."""
    channel = operation.channel
    name = channel.name if channel is not None else "production"
    comment = f"A preview of {commit[:10]} is being made." if pull is not None and pull.number else ""
    _put(connection, commit, name, state=CommitState.PENDING, description="Being deployed", target=operation_address(operation))
    Report.objects.filter(connection=connection, commit=commit, context=_context(name)).update(
        operation=operation, pull_request=pull, comment=comment
    )


def tell(connection: Connection, pull: PullRequest, state: CommitState, words: str, target: str = "") -> None:
    """Say something of a pull request's newest commit that no operation stands for."""
    address = target or platform_address(f"/sites/{pull.site.name}/")
    _put(connection, pull.head, f"preview-{pull.number}", state=state, description=words, target=address)
    rows = Report.objects.filter(connection=connection, commit=pull.head, context=_context(f"preview-{pull.number}"))
    rows.update(operation=None, pull_request=pull, comment=words)


def _context(name: str) -> str:
    return f"sitewright/{name}"


def _put(connection: Connection, commit: str, name: str, **said: Any) -> None:
    if not connection.reports or there(connection) is None or not scheme(connection.vendor).reports:
        return
    now = moment(runtime().clock.now())
    fresh = {**said, "state": said["state"].value, "attempts": 0, "due_at": now, "sent_at": None, "problem": ""}
    Report.objects.update_or_create(connection=connection, commit=commit, context=_context(name), defaults=fresh)


def settle() -> int:
    """Take over how awaited operations have ended; how many."""
    awaited = Report.objects.filter(operation__isnull=False).select_related("operation__channel", "pull_request", "connection")
    ended = [row for row in awaited[:MOST_AWAITED] if row.operation is not None and row.operation.state in _FINAL]
    for row in ended:
        assert row.operation is not None
        good = row.operation.state == OperationState.SUCCEEDED.value
        address = channel_address(row.operation.channel) if good else ""
        words = "Deployed" if good else (row.operation.error_message or "Not deployed")[:140]
        Report.objects.filter(pk=row.pk, operation=row.operation).update(
            state=(CommitState.SUCCESS if good else CommitState.FAILURE).value,
            description=words,
            target=address or operation_address(row.operation),
            comment=_ended(row, address) if row.comment else "",
            operation=None,
            attempts=0,
            due_at=moment(runtime().clock.now()),
            sent_at=None,
        )
    return len(ended)


def _ended(row: Report, address: str) -> str:
    short = row.commit[:10]
    if address:
        return f"The preview of {short} is at {address}"
    operation = row.operation
    assert operation is not None
    return f"The preview of {short} could not be made: {operation_address(operation)} says why."


def forget_old() -> None:
    """What was told a month ago is of no use any more."""
    Report.objects.filter(sent_at__lt=moment(runtime().clock.now()) - timedelta(days=KEPT_DAYS)).delete()


def tell_due() -> None:
    """What is to be done every few seconds; one question when there is nothing."""
    if Report.objects.filter(Q(sent_at=None) | Q(operation__isnull=False)).exists():
        settle()
        send_due()


def send_due() -> int:
    """Send what is due; how many were tried."""
    now = runtime().clock.now()
    rows = Report.objects.filter(sent_at=None, due_at__lte=moment(now)).select_related("connection", "pull_request").order_by("due_at")
    count = 0
    for row in rows[:MOST_AT_ONCE]:
        if Report.objects.filter(pk=row.pk, due_at=row.due_at, sent_at=None).update(due_at=moment(now + HELD_SECONDS)):
            count += 1
            _deliver(row)
    return count


def _deliver(row: Report) -> None:
    where = there(row.connection)
    same = Report.objects.filter(pk=row.pk, state=row.state, description=row.description, comment=row.comment, operation=row.operation_id)
    try:
        if where is None:
            raise RefusedError("There is no token any more.")
        _say(row, where)
    except SitewrightError as error:
        log.warning("report.not_sent", extra={"connection": row.connection_id, "context": row.context, "code": error.code})
        _failed(row, error)
        return
    same.update(sent_at=moment(runtime().clock.now()), problem="")


def _say(row: Report, where: There) -> None:
    how = scheme(row.connection.vendor)
    _checked(how.status(where, StatusNews(row.commit, row.context, row.state, row.description, row.target)))
    pull = row.pull_request
    if not row.comment or pull is None or not pull.number:
        return
    text = f"{mark_of(pull.id)}\n{row.comment}"
    known = pull.comment or _found(_checked(how.comments(where, pull.number)), mark_of(pull.id))
    answer = _checked(how.comment(where, pull.number, text, known), gone=bool(known))
    if answer.status == 404:
        known = ""
        answer = _checked(how.comment(where, pull.number, text))
    new = known or _id_of(_document(answer))
    if new != pull.comment:
        PullRequest.objects.filter(pk=pull.pk).update(comment=new)


def _checked(call: Call, *, gone: bool = False) -> Answer:
    """The answer if it is a good one, or, with *gone*, one that says that it is not there. Raises RefusedError, UnavailableError."""
    answer = send(call, settings.PLATFORM.extra_egress)
    if 200 <= answer.status < 300 or (gone and answer.status == 404) or (answer.status == 400 and _SAID_ALREADY in answer.body):
        return answer
    if answer.status == 429 or answer.status >= 500 or answer.retry_after:
        error = UnavailableError(f"The answer was {answer.status}.")
        error.retry_after = answer.retry_after  # type: ignore[attr-defined]
        raise error
    raise RefusedError(f"The answer was {answer.status}.", resolution="Check what the token may do.")


def _failed(row: Report, error: SitewrightError) -> None:
    attempts = row.attempts + 1
    over = attempts >= MOST_ATTEMPTS or (error.permanent and attempts >= 3)
    now = moment(runtime().clock.now())
    wait = max(min(10.0 * 2**attempts, 3600.0), getattr(error, "retry_after", 0.0))
    Report.objects.filter(pk=row.pk, sent_at=None).update(
        attempts=F("attempts") + 1, due_at=now + timedelta(seconds=wait), sent_at=now if over else None, problem=str(error)[:1000]
    )
    if over:
        Connection.objects.filter(pk=row.connection_id).update(problem=f"Nothing could be reported back. {error.message}"[:1000])


def _document(answer: Answer) -> Any:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None


def _id_of(one: Any) -> str:
    found = one.get("id") if isinstance(one, dict) else None
    return str(found) if isinstance(found, int) and not isinstance(found, bool) and 0 < found < 2**63 else ""


def _found(answer: Answer, mark: str) -> str:
    """The id of the comment that begins with *mark*: one that was made before the row could be written."""
    listed = _document(answer)
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and isinstance(one.get("body"), str) and one["body"].startswith(mark):
            return _id_of(one)
    return ""
