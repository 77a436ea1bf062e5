"""Operations and their steps: the row is the truth about durable work."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from sitewright.domain.operation import OperationKind
from sitewright.domain.states import OperationState, StepState
from sitewright.manager.columns import id_column, one_of


class Operation(models.Model):
    """A piece of durable work that a person can watch. docs/explanation/operations.md has its states and failures.

    ``fence`` grows with every claim; a write by an older claim is refused. ``step`` is the index of the step to run next.
    ``site_name`` stays when the site is gone. ``deadline`` is when it fails whatever it waits for.
    """

    id = id_column()
    kind = models.CharField(max_length=24)
    state = models.CharField(max_length=16, default=OperationState.QUEUED.value)
    site = models.ForeignKey("sites.Site", null=True, blank=True, on_delete=models.SET_NULL, related_name="operations")
    channel = models.ForeignKey("sites.Channel", null=True, blank=True, on_delete=models.SET_NULL, related_name="operations")
    """None: it is about the whole site, and nothing else of the site goes on meanwhile."""
    lane = models.CharField(max_length=20, blank=True, default="")
    """The channel's id, or the site's: one operation a lane is under way at a time. sitewright.manager.operations.lanes has the rules."""
    site_name = models.CharField(max_length=40)
    team = models.ForeignKey("teams.Team", on_delete=models.CASCADE, related_name="operations")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="operations")
    params = models.JSONField(default=dict)
    """What the steps need and what they found: ids, never secrets."""
    step = models.PositiveIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    """Failed tries of the current step in a row."""
    run_after = models.DateTimeField(default=timezone.now)
    lease_owner = models.CharField(max_length=64, blank=True, default="")
    lease_until = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveBigIntegerField(default=0)
    idempotency_key = models.CharField(max_length=128, null=True, blank=True)
    cancel_asked = models.BooleanField(default=False)
    error_code = models.CharField(max_length=40, blank=True, default="")
    error_message = models.TextField(blank=True, default="")
    error_details = models.TextField(blank=True, default="")
    error_resolution = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    deadline = models.DateTimeField()

    class Meta:
        constraints = (
            one_of("state", OperationState, "operation_state"),
            one_of("kind", OperationKind, "operation_kind"),
            models.UniqueConstraint(fields=["created_by", "idempotency_key"], name="asked_once"),
            models.UniqueConstraint(
                fields=["lane"],
                condition=models.Q(state__in=[OperationState.RUNNING.value, OperationState.WAITING.value]) & ~models.Q(lane=""),
                name="one_operation_a_lane",
            ),
        )
        indexes = (
            models.Index(fields=["state", "run_after"], name="operation_due"),
            models.Index(fields=["site", "created_at"], name="operation_of_site"),
            models.Index(fields=["team", "created_at"], name="operation_of_team"),
        )
        ordering = ("-created_at", "-id")

    def __str__(self) -> str:
        return f"{self.kind} {self.site_name} ({self.state})"


class Step(models.Model):
    """One idempotent part of an operation. ``title`` is in plain words for the owner."""

    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="steps")
    index = models.PositiveIntegerField()
    name = models.CharField(max_length=32)
    title = models.CharField(max_length=100)
    state = models.CharField(max_length=16, default=StepState.PENDING.value)
    detail = models.TextField(blank=True, default="")
    attempts = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            one_of("state", StepState, "step_state"),
            models.UniqueConstraint(fields=["operation", "index"], name="step_order"),
        )
        ordering = ("index",)

    def __str__(self) -> str:
        return f"{self.name} ({self.state})"
