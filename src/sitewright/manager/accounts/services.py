"""Tokens, one-time links, the first administrator."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta

from django.contrib.auth import authenticate
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from sitewright.errors import ForbiddenError, InvalidValueError, NotFoundError
from sitewright.manager.accounts.models import ApiToken, SignInLink, User

TOKEN_MARK = "sw"  # noqa: S105 - what every token begins with, so that scanners recognise one
LINK_SECONDS = 3600
USED_NOTE_SECONDS = 60
"""``last_used_at`` is written at most that often, so that reading the API does not write to the database each time."""


class WrongPasswordError(ForbiddenError):
    """The e-mail address or the password is wrong."""

    code = "wrong_password"


class TooOftenError(ForbiddenError):
    """That was tried too often."""

    code = "too_many"


def digest_of(secret: str) -> str:
    """What is stored of a token or link. Both are 190 random bits and more, so a plain hash cannot be searched."""
    return hashlib.sha256(secret.encode()).hexdigest()


def make_token(user: User, label: str, *, scopes: str = "all", days: int | None = None) -> tuple[ApiToken, str]:
    """A new token and, once only, its text. Raises InvalidValueError for an unknown scope."""
    if scopes not in {"all", "read"}:
        raise InvalidValueError(f"“{scopes[:20]}” is no scope.", resolution="Use “all” or “read”.")
    prefix = secrets.token_hex(4)
    text = f"{TOKEN_MARK}_{prefix}_{secrets.token_urlsafe(32)}"
    expires = timezone.now() + timedelta(days=days) if days else None
    row = ApiToken.objects.create(
        user=user, label=(label or "token")[:100], prefix=prefix, digest=digest_of(text), scopes=scopes, expires_at=expires
    )
    return row, text


def revoke_token(user: User, prefix: str) -> None:
    """Lock out whatever uses this person's token. Raises NotFoundError when they have no such one."""
    gone, _ = ApiToken.objects.filter(user=user, prefix=prefix).delete()
    if not gone:
        raise NotFoundError("There is no such token.", details="It may be revoked already.")


def token_of(text: str) -> ApiToken | None:
    """The valid token with this text, or None."""
    parts = text.split("_", 2)
    if len(parts) != 3 or parts[0] != TOKEN_MARK:
        return None
    now = timezone.now()
    row = ApiToken.objects.select_related("user").filter(prefix=parts[1]).first()
    if row is None or not hmac.compare_digest(row.digest, digest_of(text)):
        return None
    if not row.user.is_active or (row.expires_at is not None and row.expires_at <= now):
        return None
    if row.last_used_at is None or row.last_used_at < now - timedelta(seconds=USED_NOTE_SECONDS):
        ApiToken.objects.filter(pk=row.pk).update(last_used_at=now)
    return row


def check_password(request: HttpRequest, email: str, password: str) -> User:
    """The person with this address and password. Raises WrongPasswordError; allauth limits how often one may try."""
    from allauth.account.adapter import get_adapter  # noqa: PLC0415 - allauth loads when somebody signs in

    adapter = get_adapter(request)
    credentials = {"email": email.strip().lower(), "password": password}
    try:
        adapter.pre_authenticate(request, **credentials)
    except ValidationError as error:
        raise TooOftenError(resolution="Wait five minutes, then try again.") from error
    user = authenticate(request, **credentials)
    if not isinstance(user, User) or not user.is_active:
        adapter.authentication_failed(request, **credentials)
        raise WrongPasswordError(resolution="Check both; or ask an administrator for a sign-in link.")
    return user


def make_link(user: User) -> str:
    """The secret of a new one-time link for *user*; old ones that were not used in time are forgotten."""
    now = timezone.now()
    SignInLink.objects.filter(expires_at__lt=now - timedelta(days=7)).delete()
    secret = secrets.token_urlsafe(32)
    SignInLink.objects.create(user=user, digest=digest_of(secret), created_at=now, expires_at=now + timedelta(seconds=LINK_SECONDS))
    return secret


def link_path(secret: str) -> str:
    """Where a browser opens a link. Opening it only shows a button; the button's POST uses it, so that no prefetcher burns it."""
    return f"/accounts/link/{secret}/"


def peek_link(secret: str) -> bool:
    """Whether the link would still work; looking does not use it."""
    return SignInLink.objects.filter(_good(secret)).exists()


def use_link(secret: str) -> User:
    """The person the link lets in, once. Raises NotFoundError when it was used, is too old, or never was."""
    link = SignInLink.objects.select_related("user").filter(_good(secret)).first()
    if link is None or not SignInLink.objects.filter(pk=link.pk, used_at=None).update(used_at=timezone.now()):
        raise NotFoundError(
            "This link does not work any more.",
            details="A sign-in link works once, for an hour.",
            resolution="Run `sitewright up` again for a new one, or sign in with your password.",
        )
    return link.user


def _good(secret: str) -> Q:
    return Q(digest=digest_of(secret), used_at=None, expires_at__gt=timezone.now(), user__is_active=True)


def ensure_admin(host: str) -> User:
    """The first administrator; made now, without a password, if there is none."""
    from sitewright.manager.teams.services import ensure_personal_team  # noqa: PLC0415 - teams know accounts

    admin = User.objects.filter(is_staff=True, is_active=True).order_by("pk").first()
    if admin is None:
        admin = User.objects.create_superuser(f"admin@{host}")
    ensure_personal_team(admin)
    return admin
