"""Teams, members, quotas."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone

from sitewright.domain.limits import MIB, USUAL_WEIGHT
from sitewright.domain.states import Role
from sitewright.manager.columns import id_column, one_of

MOST_BUILD_WEIGHT = 1000


class Plan(models.Model):
    """What one process of a site may use, when a site sleeps, and what visitors may ask of it.

    0 for a figure of visits: no bound of its own. The defaults are the plan `standard`. ``revision`` grows with every change that concerns
    running sites; ``spreading`` while not all sites have it yet. ``open``: owners of teams may choose it; else an administrator gives it.
    """

    id = id_column()
    name = models.CharField(max_length=40, unique=True)
    memory_mb = models.PositiveIntegerField(default=256)
    cpu_millicores = models.PositiveIntegerField(default=1000)
    cpu_weight = models.PositiveIntegerField(default=100)
    pids = models.PositiveIntegerField(default=128)
    open_files = models.PositiveIntegerField(default=4096)
    disk_mb = models.PositiveIntegerField(default=4096)
    """The most that one release, and the site's own data and live folder, may take on disk."""
    log_kb_per_second = models.PositiveIntegerField(default=64)
    connections = models.PositiveIntegerField(default=0)
    requests_per_second = models.PositiveIntegerField(default=0)
    body_mb = models.PositiveIntegerField(default=0)
    always_on = models.BooleanField(default=False)
    freeze_after_minutes = models.PositiveIntegerField(default=15)
    stop_after_minutes = models.PositiveIntegerField(default=120)
    is_default = models.BooleanField(default=False)
    open = models.BooleanField(default=True)
    revision = models.PositiveIntegerField(default=1)
    spreading = models.BooleanField(default=False)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["is_default"], condition=models.Q(is_default=True), name="one_default_plan"),)
        ordering = ("memory_mb", "name")

    def __str__(self) -> str:
        return self.name


class Team(models.Model):
    """Owns sites and carries the quota: sites, bytes on disk, bytes of memory of everything that runs."""

    id = id_column()
    name = models.CharField(max_length=40, unique=True)
    personal_of = models.OneToOneField(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="personal_team"
    )
    plan = models.ForeignKey(Plan, null=True, blank=True, on_delete=models.PROTECT, related_name="teams")
    """None is the default plan, whichever that is."""
    max_sites = models.PositiveIntegerField(default=50)
    max_disk_bytes = models.BigIntegerField(default=20 * 1024 * MIB)
    max_memory_bytes = models.BigIntegerField(default=8 * 1024 * MIB)
    build_weight = models.PositiveIntegerField(default=USUAL_WEIGHT)
    """What its builds weigh in the queue, against other teams' (1–1000; 100 is usual)."""
    created_at = models.DateTimeField(default=timezone.now)
    members: models.ManyToManyField[Any, Any] = models.ManyToManyField(settings.AUTH_USER_MODEL, through="Membership", related_name="teams")

    class Meta:
        constraints = (
            models.CheckConstraint(condition=models.Q(build_weight__gte=1, build_weight__lte=MOST_BUILD_WEIGHT), name="team_build_weight"),
        )

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
