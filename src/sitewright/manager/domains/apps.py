"""Django's entry for the app."""

from django.apps import AppConfig


class DomainsConfig(AppConfig):
    """Routes: host name to channel."""

    name = "sitewright.manager.domains"
    label = "domains"
    default_auto_field = "django.db.models.BigAutoField"
