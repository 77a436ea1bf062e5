"""What allauth asks us."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Sign-up is closed unless the platform says otherwise; who signs up gets a personal team."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002 - allauth's signature
        """Whether strangers may make an account."""
        return settings.SIGN_UP_OPEN

    def get_client_ip(self, request: HttpRequest) -> str:
        """As the router saw it; it overwrites the header, and nothing else reaches our socket."""
        return request.headers.get("X-Real-IP", "") or request.META.get("REMOTE_ADDR", "") or "local"

    def save_user(self, request: HttpRequest, user: Any, form: Any, commit: bool = True) -> Any:
        """As allauth does, and a team for them."""
        saved = super().save_user(request, user, form, commit)
        if commit:
            from sitewright.manager.teams.services import ensure_personal_team  # noqa: PLC0415 - models load after adapters

            ensure_personal_team(saved)
        return saved
