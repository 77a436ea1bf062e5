"""Django's entry for the app."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """The timeline of a site and the trail of who did what."""

    name = "sitewright.manager.audit"
    label = "audit"
    default_auto_field = "django.db.models.BigAutoField"
