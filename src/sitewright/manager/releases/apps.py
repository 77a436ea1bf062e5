"""Django's entry for the app."""

from django.apps import AppConfig


class ReleasesConfig(AppConfig):
    """Uploads, builds and the releases they make."""

    name = "sitewright.manager.releases"
    label = "releases"
    default_auto_field = "django.db.models.BigAutoField"
