"""The only way to get an operation."""

from __future__ import annotations

from django.db.models import QuerySet

from sitewright.domain.operation import OperationKind
from sitewright.domain.states import Role
from sitewright.errors import ForbiddenError, NotFoundError
from sitewright.manager.accounts.models import User
from sitewright.manager.operations.models import Operation
from sitewright.manager.sites.protection import GUARDED, role_needed
from sitewright.manager.teams.access import reach


def for_user(user: User, role: Role = Role.VIEWER) -> QuerySet[Operation]:
    """The operations of the teams in which *user* has at least *role*; an operation outlives its site."""
    return Operation.objects.filter(reach(user, role, "team__")).select_related("created_by", "channel").prefetch_related("steps")


def operation_for(user: User, operation_id: str, role: Role = Role.VIEWER) -> Operation:
    """The operation of that id. Raises NotFoundError or ForbiddenError."""
    operation = for_user(user, role).filter(id=operation_id).first()
    if operation is not None:
        return operation
    if role is not Role.VIEWER and for_user(user).filter(id=operation_id).exists():
        raise ForbiddenError("Your role in the team does not allow this.", details=f"It needs the role {role.value}.")
    raise NotFoundError("There is no such operation, or it is not yours to see.")


OWNERS_KINDS = frozenset({OperationKind.RENAME.value, OperationKind.DELETE.value})
"""What only an owner may ask for, only an owner may cancel or set going again."""


def operation_to_change(user: User, operation_id: str) -> Operation:
    """The operation, for cancelling or trying again. Raises NotFoundError or ForbiddenError."""
    return operation_for(user, operation_id, role_to_change(operation_for(user, operation_id, Role.DEVELOPER)))


def role_to_change(operation: Operation) -> Role:
    """The weakest role that may: that of an owner for what only owners ask for, that of the channel while it is protected."""
    if operation.kind in OWNERS_KINDS:
        return Role.OWNER
    if operation.channel is not None and operation.kind in GUARDED:
        return role_needed(operation.channel)
    return Role.DEVELOPER


def may_change(user: User, operation: Operation) -> bool:
    """Whether this person may cancel it or set it going again."""
    return for_user(user, role_to_change(operation)).filter(id=operation.id).exists()
