"""Django's entry for the app."""

from django.apps import AppConfig


class TeamsConfig(AppConfig):
    """Teams own sites; members have a role; a team carries the quota."""

    name = "sitewright.manager.teams"
    label = "teams"
    default_auto_field = "django.db.models.BigAutoField"
