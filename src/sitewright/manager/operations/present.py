"""An operation as pages show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sitewright.domain.operation import OperationKind
from sitewright.domain.states import FINAL_OPERATION_STATES, OperationState
from sitewright.manager.operations.models import Operation, Step

TITLES: Final = {
    OperationKind.CREATE: "Create {}",
    OperationKind.DEPLOY: "Deploy {}",
    OperationKind.START: "Start {}",
    OperationKind.STOP: "Stop {}",
    OperationKind.RESTART: "Restart {}",
    OperationKind.ENV: "Change variables of {}",
    OperationKind.RENAME: "Rename {}",
    OperationKind.DELETE: "Delete {}",
    OperationKind.SCALE: "Scale {}",
    OperationKind.CONFIGURE: "Change settings of {}",
    OperationKind.ROLLBACK: "Return {} to another release",
    OperationKind.PROMOTE: "Promote the trial of {}",
    OperationKind.ABORT: "End the trial of {}",
    OperationKind.CHANNEL: "Change channels of {}",
    OperationKind.ADOPT: "Promote a release of {}",
    OperationKind.PUBLISH: "Publish edits of {}",
    OperationKind.SYNC: "Fetch the repository of {}",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Why it failed, in words: what happened, why, what to do next."""

    message: str
    details: str
    resolution: str


@dataclass(frozen=True, slots=True)
class OperationCard:
    """What a page needs of one operation. ``build`` is the id of its build, "" when it has none."""

    id: str
    title: str
    site: str
    state: str
    steps: Sequence[Step]
    error: Problem | None
    build: str
    final: bool
    can_cancel: bool
    can_retry: bool
    created_at: datetime
    created_by: str


def card(operation: Operation) -> OperationCard:
    """The operation with its title, and what may be done with it now."""
    state = OperationState(operation.state)
    failed = state in {OperationState.FAILED, OperationState.CANCELLED}
    return OperationCard(
        id=operation.id,
        title=TITLES[OperationKind(operation.kind)].format(operation.site_name),
        site=operation.site_name,
        state=operation.state,
        steps=list(operation.steps.all()),
        error=_problem(operation) if state is OperationState.FAILED else None,
        build=str(operation.params.get("found", {}).get("build", {}).get("build", "")),
        final=state in FINAL_OPERATION_STATES,
        can_cancel=state not in FINAL_OPERATION_STATES and not operation.cancel_asked,
        can_retry=failed and operation.site_id is not None,
        created_at=operation.created_at,
        created_by=str(operation.created_by or ""),
    )


def _problem(operation: Operation) -> Problem | None:
    if not operation.error_message:
        return None
    return Problem(operation.error_message, operation.error_details, operation.error_resolution)
