"""Operations as the API shows them."""

from __future__ import annotations

from datetime import datetime

from ninja import Schema

from sitewright.domain.states import StepState
from sitewright.manager.operations.models import Operation, Step


class StepOut(Schema):
    """One step, in order. ``title`` and ``detail`` are in plain words."""

    name: str
    title: str
    state: StepState
    detail: str
    started_at: datetime | None
    finished_at: datetime | None


class ErrorOut(Schema):
    """Why an operation has failed: what happened, why, what to do next."""

    code: str
    message: str
    details: str
    resolution: str


class OperationOut(Schema):
    """Durable work that can be watched. ``site`` is the site's name, also when the site is gone."""

    id: str
    kind: str
    state: str
    site: str
    channel: str
    """"" when it is about the whole site."""
    steps: list[StepOut]
    error: ErrorOut | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    created_by: str
    build: str | None
    """Id of the build whose log belongs to it, once there is one."""


class OperationList(Schema):
    """A page of operations, newest first."""

    items: list[OperationOut]
    next: str | None


class Accepted(Schema):
    """202: it has begun; watch the operation."""

    operation: OperationOut


def step_out(step: Step) -> StepOut:
    """A row as the API shows it."""
    return StepOut(
        name=step.name,
        title=step.title,
        state=StepState(step.state),
        detail=step.detail,
        started_at=step.started_at,
        finished_at=step.finished_at,
    )


def operation_out(operation: Operation) -> OperationOut:
    """A row with its steps as the API shows it."""
    error = None
    if operation.error_message:
        error = ErrorOut(
            code=operation.error_code,
            message=operation.error_message,
            details=operation.error_details,
            resolution=operation.error_resolution,
        )
    return OperationOut(
        id=operation.id,
        kind=operation.kind,
        state=operation.state,
        site=operation.site_name,
        channel=operation.channel.name if operation.channel else "",
        steps=[step_out(step) for step in operation.steps.all()],
        error=error,
        created_at=operation.created_at,
        started_at=operation.started_at,
        finished_at=operation.finished_at,
        created_by=operation.created_by.email if operation.created_by else "",
        build=operation.params.get("found", {}).get("build", {}).get("build"),
    )
