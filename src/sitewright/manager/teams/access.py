"""The only way to get a team: through a person and the role they need. What is not theirs does not exist for them."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from sitewright.domain.states import ROLE_ORDER, Role
from sitewright.errors import ForbiddenError, NotFoundError
from sitewright.manager.accounts.models import User
from sitewright.manager.teams.models import Membership, Team


def roles_from(role: Role) -> list[str]:
    """The words of every role that may do what *role* may do."""
    return [one.value for one in ROLE_ORDER[ROLE_ORDER.index(role) :]]


def reach(user: User, role: Role, prefix: str = "") -> Q:
    """The condition that a row's team (under *prefix*, like `site__team__`) has *user* as a member of at least *role*.

    Administrators of the platform reach every team.
    """
    if user.is_staff:
        return Q()
    return Q(**{f"{prefix}memberships__user": user, f"{prefix}memberships__role__in": roles_from(role)})


def for_user(user: User, role: Role = Role.VIEWER) -> QuerySet[Team]:
    """The teams in which *user* has at least *role*."""
    return Team.objects.filter(reach(user, role)).distinct()


def memberships_for(user: User) -> QuerySet[Membership]:
    """A person's own teams and roles."""
    return Membership.objects.filter(user=user).select_related("team").order_by("team__name")


def team_for(user: User, name: str, role: Role = Role.VIEWER) -> Team:
    """The team of that name. Raises NotFoundError when the person is no member, ForbiddenError when their role is too weak."""
    team = for_user(user, role).filter(name=name).first()
    if team is not None:
        return team
    if role is not Role.VIEWER and for_user(user).filter(name=name).exists():
        raise ForbiddenError(f"Your role in the team “{name}” does not allow this.", details=f"It needs the role {role.value}.")
    raise NotFoundError(f"There is no team “{name[:63]}”, or you are not in it.")
