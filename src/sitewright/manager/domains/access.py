"""The only way to get a route."""

from __future__ import annotations

from django.db.models import QuerySet

from sitewright.domain.states import Role
from sitewright.manager.accounts.models import User
from sitewright.manager.domains.models import Route
from sitewright.manager.teams.access import reach


def for_user(user: User, role: Role = Role.VIEWER) -> QuerySet[Route]:
    """The routes of the sites of the teams in which *user* has at least *role*."""
    return Route.objects.filter(reach(user, role, "channel__site__team__"))
