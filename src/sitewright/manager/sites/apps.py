"""Django's entry for the app."""

from django.apps import AppConfig


class SitesConfig(AppConfig):
    """Sites, their channels and variables, and what nodes report of them."""

    name = "sitewright.manager.sites"
    label = "sites"
    default_auto_field = "django.db.models.BigAutoField"
