"""Who asks: a token in the Authorization header, or the session of a browser (with its CSRF token)."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from ninja.security import HttpBearer
from ninja.security.apikey import APIKeyCookie

from sitewright.errors import ForbiddenError
from sitewright.manager.accounts.models import User
from sitewright.manager.accounts.services import token_of

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Bearer(HttpBearer):
    """`Authorization: Bearer sw_…`. A token with the scope `read` may only look."""

    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        """The token's person."""
        row = token_of(token)
        if row is None:
            return None
        if "all" not in row.scopes.split() and request.method not in SAFE_METHODS:
            raise ForbiddenError("This token may only read.", resolution="Make a token with the scope “all”.")
        return row.user


class Session(APIKeyCookie):
    """The cookie of a signed-in browser; whatever changes something needs the CSRF token too."""

    param_name = settings.SESSION_COOKIE_NAME

    def __call__(self, request: HttpRequest) -> Any:
        """The person; nobody without a cookie, so that a program without a token is told 401 and not about CSRF."""
        if self.param_name not in request.COOKIES or request.headers.get("Authorization"):
            return None
        return super().__call__(request)

    def authenticate(self, request: HttpRequest, key: str | None) -> User | None:  # noqa: ARG002 - the contract
        """The session's person."""
        user = request.user
        return user if isinstance(user, User) and user.is_authenticated and user.is_active else None


def person(request: HttpRequest) -> User:
    """Whoever was let in."""
    user = getattr(request, "auth", None)
    assert isinstance(user, User), "every operation of the API has auth"
    return user


def idempotency_key(request: HttpRequest) -> str:
    """What the asker sent to make asking twice harmless; "" when nothing."""
    return request.headers.get("Idempotency-Key", "").strip()


def address_of(request: HttpRequest) -> str:
    """The asker's address as the router saw it; the router overwrites the header, and nothing else reaches the socket."""
    return request.headers.get("X-Real-IP", "") or str(request.META.get("REMOTE_ADDR", ""))
