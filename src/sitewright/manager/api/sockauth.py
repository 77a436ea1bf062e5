"""Who opens a web socket: a token in the Authorization header, or a browser's session from one of our own pages."""

from __future__ import annotations

from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest

from sitewright.manager.accounts.models import User
from sitewright.manager.accounts.services import token_of
from sitewright.manager.cookies import without_doubles


def socket_person(scope: Mapping[str, Any]) -> User | None:
    """The person, or None. A session counts only with an Origin of ours, since browsers send cookies from anywhere."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    kind, _, text = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        token = token_of(text.strip())
        return token.user if token is not None and "all" in token.scopes.split() else None
    if not same_origin(headers.get("origin", ""), headers.get("host", "")):
        return None
    return _session_person(headers.get("cookie", ""))


def same_origin(origin: str, host: str) -> bool:
    """Whether the page that opens the socket is served by this very host, and that host is the manager's."""
    parts = urlsplit(origin)
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    return parts.scheme in {"http", "https"} and bool(host) and parts.netloc == host and name in settings.ALLOWED_HOSTS


def _session_person(cookie: str) -> User | None:
    try:
        morsel = SimpleCookie(without_doubles(cookie)[0]).get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return None
    if morsel is None:
        return None
    from django.contrib.auth import get_user  # noqa: PLC0415 - rarely needed
    from django.contrib.sessions.backends.db import SessionStore  # noqa: PLC0415

    request = HttpRequest()
    request.session = SessionStore(session_key=morsel.value)
    user = get_user(request)
    return user if isinstance(user, User) and user.is_active else None
