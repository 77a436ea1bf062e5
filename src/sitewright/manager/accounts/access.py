"""The only way to get a token or a key."""

from __future__ import annotations

from django.db.models import QuerySet

from sitewright.manager.accounts.models import ApiToken, SshKey, User


def tokens_for(user: User) -> QuerySet[ApiToken]:
    """A person's own tokens; nobody sees another's."""
    return ApiToken.objects.filter(user=user)


def keys_for(user: User) -> QuerySet[SshKey]:
    """A person's own SSH keys; nobody sees another's."""
    return SshKey.objects.filter(user=user)
