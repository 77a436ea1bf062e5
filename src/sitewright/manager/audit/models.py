"""What happened to a site (events, for its team) and who did what (the trail, for administrators; it outlives what it speaks of)."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from sitewright.domain.events import EventKind
from sitewright.manager.columns import one_of


class TimelineEvent(models.Model):
    """One line of a site's timeline. The id comes from whoever saw it happen, so that hearing it twice is harmless."""

    id = models.CharField(max_length=64, primary_key=True)
    site = models.ForeignKey("sites.Site", on_delete=models.CASCADE, related_name="events")
    channel_id = models.CharField(max_length=12, blank=True, default="")
    kind = models.CharField(max_length=32)
    at = models.DateTimeField(default=timezone.now)
    text = models.TextField()
    who = models.CharField(max_length=254, blank=True, default="")
    operation_id = models.CharField(max_length=12, blank=True, default="")

    class Meta:
        constraints = (one_of("kind", EventKind, "event_kind"),)
        indexes = (models.Index(fields=["site", "-at", "id"], name="event_of_site"),)
        ordering = ("-at", "-id")

    def __str__(self) -> str:
        return self.text


class AuditEntry(models.Model):
    """Who did what to what, from where. Plain words and ids, never foreign keys to what may be deleted, never secrets."""

    at = models.DateTimeField(default=timezone.now, db_index=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    who = models.CharField(max_length=254, blank=True, default="")
    action = models.CharField(max_length=64)
    subject = models.CharField(max_length=100, blank=True, default="")
    subject_name = models.CharField(max_length=100, blank=True, default="")
    address = models.CharField(max_length=64, blank=True, default="")
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ("-at", "-id")

    def __str__(self) -> str:
        return f"{self.who} {self.action} {self.subject_name}"
