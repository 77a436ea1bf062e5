"""/operations: look at, watch, cancel, retry."""

from __future__ import annotations

from collections.abc import AsyncIterator

from asgiref.sync import sync_to_async
from django.http import HttpRequest, StreamingHttpResponse
from ninja import Router, Status

from sitewright.domain.states import FINAL_OPERATION_STATES, OperationState
from sitewright.errors import NotFoundError
from sitewright.manager.accounts.models import User
from sitewright.manager.api.auth import person
from sitewright.manager.api.paging import USUAL, page
from sitewright.manager.api.streams import KEEP_ALIVE, event, stream
from sitewright.manager.operations import services
from sitewright.manager.operations.access import for_user, operation_for, operation_to_change
from sitewright.manager.operations.schemas import Accepted, OperationList, OperationOut, operation_out
from sitewright.manager.runtime import runtime

router = Router(tags=["operations"])

LOOK_SECONDS = 1.0
"""How often it looks although nothing was told: another process may have done the work."""
KEEP_ALIVE_ROUNDS = 15
NEWEST_FIRST = ("-created_at", "-id")


@router.get("", response=OperationList, operation_id="listOperations")
def list_operations(request: HttpRequest, cursor: str = "", limit: int = USUAL) -> OperationList:
    """Operations of all your teams, newest first."""
    rows, following = page(for_user(person(request)), NEWEST_FIRST, cursor, limit)
    return OperationList(items=[operation_out(row) for row in rows], next=following)


@router.get("/{operation_id}", response=OperationOut, operation_id="getOperation")
def get_operation(request: HttpRequest, operation_id: str) -> OperationOut:
    """One operation with its steps."""
    return operation_out(operation_for(person(request), operation_id))


@router.post("/{operation_id}/cancel", response={202: Accepted}, operation_id="cancelOperation")
def cancel_operation(request: HttpRequest, operation_id: str) -> Status[Accepted]:
    """End it at the next safe point; what was there before is kept."""
    operation = operation_to_change(person(request), operation_id)
    return Status(202, Accepted(operation=operation_out(services.cancel(operation))))


@router.post("/{operation_id}/retry", response={202: Accepted}, operation_id="retryOperation")
def retry_operation(request: HttpRequest, operation_id: str) -> Status[Accepted]:
    """Go on with a failed or cancelled one, from the step that it did not finish."""
    operation = operation_to_change(person(request), operation_id)
    return Status(202, Accepted(operation=operation_out(services.retry(operation))))


@router.get("/{operation_id}/stream", operation_id="streamOperation", response={200: None})
async def stream_operation(request: HttpRequest, operation_id: str) -> StreamingHttpResponse:
    """Server-sent events `operation` (data: the operation) at every change, until it is over."""
    user = person(request)
    await sync_to_async(operation_for)(user, operation_id)
    return stream(_changes(user, operation_id))


async def _changes(user: User, operation_id: str) -> AsyncIterator[bytes]:
    last, quiet = "", 0
    with runtime().changes.listening(operation_id) as bell:
        while True:
            try:
                now = await sync_to_async(lambda: operation_out(operation_for(user, operation_id)))()
            except NotFoundError:
                return
            text = now.model_dump_json()
            quiet += 1
            if text != last:
                last, quiet = text, 0
                yield event("operation", text)
            elif quiet % KEEP_ALIVE_ROUNDS == 0:
                yield KEEP_ALIVE
            if OperationState(now.state) in FINAL_OPERATION_STATES:
                return
            await bell.heard(LOOK_SECONDS)
