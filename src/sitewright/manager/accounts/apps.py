"""Django's entry for the app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """People: sign-in, API tokens, one-time links."""

    name = "sitewright.manager.accounts"
    label = "accounts"
    default_auto_field = "django.db.models.BigAutoField"
