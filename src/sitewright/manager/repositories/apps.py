"""Django's entry for the app."""

from django.apps import AppConfig


class RepositoriesConfig(AppConfig):
    """Connected repositories and their web hooks."""

    name = "sitewright.manager.repositories"
    label = "repositories"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Hear of branches that are pushed to a site's own repository."""
        from sitewright.manager.repositories.previews import branch_pushed  # noqa: PLC0415 - models load first
        from sitewright.manager.sites.previewing import register  # noqa: PLC0415

        register(branch_pushed)
