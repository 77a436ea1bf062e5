"""Routes: host name → channel. A host leads to one channel only, and the database says so."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Route(models.Model):
    """A host name that leads visitors to a channel. The default one follows the site's name."""

    host = models.CharField(max_length=80, unique=True)
    channel = models.ForeignKey("sites.Channel", on_delete=models.CASCADE, related_name="routes")
    is_default = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["channel"], condition=models.Q(is_default=True), name="one_default_route"),)
        ordering = ("-is_default", "host")

    def __str__(self) -> str:
        return self.host
