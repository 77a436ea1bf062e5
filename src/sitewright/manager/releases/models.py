"""Uploads, builds, releases."""

from __future__ import annotations

from enum import StrEnum

from django.conf import settings
from django.db import models
from django.utils import timezone

from sitewright.domain.states import BuildState
from sitewright.manager.columns import id_column, one_of


class Trial(StrEnum):
    """What became of a release that was put on trial; "" when it never was."""

    NONE = ""
    RUNNING = "running"
    PROMOTED = "promoted"
    ABORTED = "aborted"


class Upload(models.Model):
    """A source somebody sent: <home>/uploads/<digest>. Knowing a digest is not enough, one must have sent it too."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="uploads")
    digest = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()
    name = models.CharField(max_length=255, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["user", "digest"], name="one_upload_a_person"),)

    def __str__(self) -> str:
        return self.name or self.digest[:12]


class Build(models.Model):
    """One run of the builder. ``source`` is a Source of sitewright.bus.messages as JSON."""

    id = id_column()
    channel = models.ForeignKey("sites.Channel", on_delete=models.CASCADE, related_name="builds")
    release_number = models.PositiveIntegerField(default=0)
    node = models.CharField(max_length=32)
    source = models.JSONField(default=dict)
    state = models.CharField(max_length=16, default=BuildState.QUEUED.value)
    phase = models.CharField(max_length=200, blank=True, default="")
    position = models.PositiveIntegerField(default=0)
    wait_seconds = models.FloatField(default=0.0)
    droplet = models.CharField(max_length=64, blank=True, default="")
    size_bytes = models.BigIntegerField(default=0)
    blueprint = models.JSONField(null=True, blank=True)
    commit = models.CharField(max_length=64, blank=True, default="")
    problem = models.TextField(blank=True, default="")
    details = models.TextField(blank=True, default="")
    resolution = models.TextField(blank=True, default="")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (one_of("state", BuildState, "build_state"),)
        ordering = ("-created_at", "-id")

    def __str__(self) -> str:
        return f"build {self.id} ({self.state})"


class Release(models.Model):
    """Immutable and numbered within its channel. ``blueprint`` is a domain Blueprint as JSON."""

    id = id_column()
    channel = models.ForeignKey("sites.Channel", on_delete=models.CASCADE, related_name="releases")
    number = models.PositiveIntegerField()
    droplet = models.CharField(max_length=64, blank=True, default="")
    size_bytes = models.BigIntegerField(default=0)
    blueprint = models.JSONField()
    commit = models.CharField(max_length=64, blank=True, default="")
    build = models.OneToOneField(Build, null=True, blank=True, on_delete=models.SET_NULL, related_name="release")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    author = models.CharField(max_length=200, blank=True, default="")
    """Of the commit, as git has it; "" when the source is not from git."""
    subject = models.CharField(max_length=200, blank=True, default="")
    """First line of the commit's message, or what it was deployed from."""
    build_seconds = models.FloatField(default=0.0)
    changes = models.JSONField(null=True, blank=True)
    """Since the release before: {"commits", "files", "added", "removed"}, numbers; None when that is unknown."""
    variables = models.JSONField(default=dict, blank=True)
    """Name → keyed digest of each variable when it went live: what was changed can be told, and what it was cannot."""
    adopted_from = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="adopted_as")
    """The release of another channel whose droplet this is."""
    gone_at = models.DateTimeField(null=True, blank=True)
    """When its droplet was given up, because newer ones are kept; it cannot be returned to."""
    live_at = models.DateTimeField(null=True, blank=True)
    """When visitors last began to get it; None when they never did."""
    trial = models.CharField(max_length=16, blank=True, default=Trial.NONE.value)
    trial_reason = models.TextField(blank=True, default="")

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["channel", "number"], name="release_number"),
            one_of("trial", Trial, "release_trial"),
        )
        ordering = ("-number",)

    def __str__(self) -> str:
        return f"release {self.number}"
