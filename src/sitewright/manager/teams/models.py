"""Teams, members, quotas."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone

from sitewright.domain.limits import MIB
from sitewright.domain.states import Role
from sitewright.manager.columns import id_column, one_of


class Team(models.Model):
    """Owns sites and carries the quota: sites, bytes on disk, bytes of memory of everything that runs."""

    id = id_column()
    name = models.CharField(max_length=40, unique=True)
    personal_of = models.OneToOneField(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="personal_team"
    )
    max_sites = models.PositiveIntegerField(default=50)
    max_disk_bytes = models.BigIntegerField(default=20 * 1024 * MIB)
    max_memory_bytes = models.BigIntegerField(default=8 * 1024 * MIB)
    created_at = models.DateTimeField(default=timezone.now)
    members: models.ManyToManyField[Any, Any] = models.ManyToManyField(settings.AUTH_USER_MODEL, through="Membership", related_name="teams")

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """One person's role in one team."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, default=Role.VIEWER.value)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["team", "user"], name="one_role_a_member"),
            one_of("role", Role, "membership_role"),
        )

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.team}"
