"""The only way to get a connection, its deliveries, pull requests."""

from __future__ import annotations

from django.db.models import QuerySet

from sitewright.domain.states import Role
from sitewright.manager.accounts.models import User
from sitewright.manager.repositories.models import Connection, Delivery, PullRequest
from sitewright.manager.teams.access import reach


def for_user(user: User, role: Role = Role.VIEWER) -> QuerySet[Connection]:
    """The connections of the sites of the teams in which *user* has at least *role*."""
    return Connection.objects.filter(reach(user, role, "site__team__")).select_related("site__team")


def deliveries_for(user: User, role: Role = Role.DEVELOPER) -> QuerySet[Delivery]:
    """What their web hooks have brought."""
    return Delivery.objects.filter(reach(user, role, "connection__site__team__")).select_related("connection__site", "operation")


def pull_requests_for(user: User, role: Role = Role.VIEWER) -> QuerySet[PullRequest]:
    """Their pull requests and branches with previews."""
    return PullRequest.objects.filter(reach(user, role, "site__team__")).select_related("site__team", "channel")
