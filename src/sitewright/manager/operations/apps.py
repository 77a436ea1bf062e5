"""Django's entry for the app."""

from django.apps import AppConfig


class OperationsConfig(AppConfig):
    """Durable work: operations and steps, and the engine that runs them."""

    name = "sitewright.manager.operations"
    label = "operations"
    default_auto_field = "django.db.models.BigAutoField"
