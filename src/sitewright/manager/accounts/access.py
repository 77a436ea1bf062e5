"""The only way to get a token."""

from __future__ import annotations

from django.db.models import QuerySet

from sitewright.manager.accounts.models import ApiToken, User


def tokens_for(user: User) -> QuerySet[ApiToken]:
    """A person's own tokens; nobody sees another's."""
    return ApiToken.objects.filter(user=user)
