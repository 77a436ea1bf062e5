"""Django's entry for the app."""

from django.apps import AppConfig


class RepositoriesConfig(AppConfig):
    """Connected repositories and their web hooks."""

    name = "sitewright.manager.repositories"
    label = "repositories"
    default_auto_field = "django.db.models.BigAutoField"
