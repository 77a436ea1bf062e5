"""The only way to get an event or an entry of the trail."""

from __future__ import annotations

from django.db.models import QuerySet

from sitewright.domain.states import Role
from sitewright.manager.accounts.models import User
from sitewright.manager.audit.models import AuditEntry, TimelineEvent
from sitewright.manager.teams.access import reach


def for_user(user: User, role: Role = Role.VIEWER) -> QuerySet[TimelineEvent]:
    """The events of the sites of the teams in which *user* has at least *role*."""
    return TimelineEvent.objects.filter(reach(user, role, "site__team__"))


def trail_for(user: User) -> QuerySet[AuditEntry]:
    """The whole trail for administrators, their own deeds for everybody else."""
    return AuditEntry.objects.all() if user.is_staff else AuditEntry.objects.filter(user=user)
