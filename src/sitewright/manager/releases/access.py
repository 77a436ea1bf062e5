"""The only way to get an upload, a build or a release."""

from __future__ import annotations

from django.db.models import QuerySet

from sitewright.domain.states import Role
from sitewright.manager.accounts.models import User
from sitewright.manager.releases.models import Build, Release, Upload
from sitewright.manager.teams.access import reach


def for_user(user: User, role: Role = Role.VIEWER) -> QuerySet[Release]:
    """The releases of the sites of the teams in which *user* has at least *role*."""
    return Release.objects.filter(reach(user, role, "channel__site__team__")).select_related(
        "created_by", "channel__site", "adopted_from__channel"
    )


def builds_for(user: User, role: Role = Role.VIEWER) -> QuerySet[Build]:
    """The builds of those sites."""
    return Build.objects.filter(reach(user, role, "channel__site__team__")).select_related("channel__site__team", "created_by")


def uploads_for(user: User) -> QuerySet[Upload]:
    """What *user* has sent."""
    return Upload.objects.filter(user=user)
