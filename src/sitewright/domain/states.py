"""States and legal transitions, each as one table. docs/explanation/states.md shows the same tables; a test compares them.

The words here are the database's, the API's and the pages' words too.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from sitewright.errors import ConflictError


class InstanceState(StrEnum):
    """Life of one running copy of one process type of one release."""

    STARTING = "starting"
    READY = "ready"
    FROZEN = "frozen"
    EVACUATING = "evacuating"
    STOPPING = "stopping"
    CRASHED = "crashed"
    GONE = "gone"


class OperationState(StrEnum):
    """Life of a piece of durable work."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepState(StrEnum):
    """Life of one idempotent part of an operation."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


class BuildState(StrEnum):
    """Life of one run of the builder."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class SiteState(StrEnum):
    """What a person sees of a site: derived from its production channel, never stored."""

    NEW = "new"
    DEPLOYING = "deploying"
    STARTING = "starting"
    RUNNING = "running"
    SLEEPING = "sleeping"
    STOPPED = "stopped"
    CRASHED = "crashed"
    DELETING = "deleting"


class Mode(StrEnum):
    """How a channel's code runs."""

    LIVE = "live"
    RELEASED = "released"


class Power(StrEnum):
    """What the owner wants of a channel."""

    ON = "on"
    OFF = "off"


class Role(StrEnum):
    """What a member may do in a team, weakest first in ``ROLE_ORDER``."""

    VIEWER = "viewer"
    DEVELOPER = "developer"
    OWNER = "owner"


ROLE_ORDER: Final = (Role.VIEWER, Role.DEVELOPER, Role.OWNER)

INSTANCE_TRANSITIONS: Final[dict[InstanceState, frozenset[InstanceState]]] = {
    InstanceState.STARTING: frozenset({InstanceState.READY, InstanceState.CRASHED, InstanceState.STOPPING}),
    InstanceState.READY: frozenset({InstanceState.FROZEN, InstanceState.CRASHED, InstanceState.STOPPING, InstanceState.EVACUATING}),
    InstanceState.FROZEN: frozenset({InstanceState.READY, InstanceState.CRASHED, InstanceState.STOPPING}),
    InstanceState.EVACUATING: frozenset({InstanceState.STOPPING, InstanceState.CRASHED}),
    InstanceState.STOPPING: frozenset({InstanceState.GONE}),
    InstanceState.CRASHED: frozenset({InstanceState.GONE}),
    InstanceState.GONE: frozenset(),
}

OPERATION_TRANSITIONS: Final[dict[OperationState, frozenset[OperationState]]] = {
    OperationState.QUEUED: frozenset({OperationState.RUNNING, OperationState.CANCELLED}),
    OperationState.RUNNING: frozenset(
        {OperationState.WAITING, OperationState.QUEUED, OperationState.SUCCEEDED, OperationState.FAILED, OperationState.CANCELLED}
    ),
    OperationState.WAITING: frozenset({OperationState.RUNNING, OperationState.CANCELLED, OperationState.FAILED}),
    OperationState.SUCCEEDED: frozenset(),
    OperationState.FAILED: frozenset({OperationState.QUEUED}),
    OperationState.CANCELLED: frozenset({OperationState.QUEUED}),
}

STEP_TRANSITIONS: Final[dict[StepState, frozenset[StepState]]] = {
    StepState.PENDING: frozenset({StepState.RUNNING, StepState.SKIPPED}),
    StepState.RUNNING: frozenset({StepState.PENDING, StepState.DONE, StepState.FAILED, StepState.SKIPPED}),
    StepState.DONE: frozenset(),
    StepState.FAILED: frozenset({StepState.PENDING}),
    StepState.SKIPPED: frozenset({StepState.PENDING}),
}

BUILD_TRANSITIONS: Final[dict[BuildState, frozenset[BuildState]]] = {
    BuildState.QUEUED: frozenset({BuildState.RUNNING, BuildState.FAILED, BuildState.CANCELLED}),
    BuildState.RUNNING: frozenset({BuildState.QUEUED, BuildState.SUCCEEDED, BuildState.FAILED, BuildState.CANCELLED}),
    BuildState.SUCCEEDED: frozenset(),
    BuildState.FAILED: frozenset(),
    BuildState.CANCELLED: frozenset(),
}

TABLES: Final[dict[type[StrEnum], dict[StrEnum, frozenset[StrEnum]]]] = {
    InstanceState: INSTANCE_TRANSITIONS,  # type: ignore[dict-item]
    OperationState: OPERATION_TRANSITIONS,  # type: ignore[dict-item]
    StepState: STEP_TRANSITIONS,  # type: ignore[dict-item]
    BuildState: BUILD_TRANSITIONS,  # type: ignore[dict-item]
}

FINAL_OPERATION_STATES: Final = frozenset({OperationState.SUCCEEDED, OperationState.FAILED, OperationState.CANCELLED})
LIVING_INSTANCE_STATES: Final = frozenset({InstanceState.STARTING, InstanceState.READY, InstanceState.FROZEN, InstanceState.EVACUATING})


class IllegalTransitionError(ConflictError):
    """This change of state is not allowed."""

    code = "illegal_transition"


def check_transition(old: StrEnum, new: StrEnum) -> None:
    """Raise IllegalTransitionError unless the table of their enum allows *old* → *new*.

    Raises TypeError when the two are not of one enum that has a table.
    """
    table = TABLES.get(type(old))
    if table is None or type(old) is not type(new):
        raise TypeError(f"{old!r} and {new!r} are not states of one thing")
    if new not in table[old]:
        allowed = ", ".join(sorted(table[old])) or "nothing"
        raise IllegalTransitionError(f"From “{old}” there is no way to “{new}”.", details=f"Allowed from there: {allowed}.")


def at_least(role: Role, needed: Role) -> bool:
    """Whether *role* may do what *needed* may do."""
    return ROLE_ORDER.index(role) >= ROLE_ORDER.index(needed)
