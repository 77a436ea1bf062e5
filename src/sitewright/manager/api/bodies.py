"""How much anybody may send. Django keeps a body on disk before a view sees it, so strangers are stopped before that."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings

from sitewright.domain.limits import MAX_SOURCE_BYTES, MIB
from sitewright.manager.accounts.services import token_of

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]

STRANGERS_BYTES = MIB
MEMBERS_BYTES = MAX_SOURCE_BYTES + MIB
"""A source, and the form around it."""
HOOKS_BYTES = 5 * MIB
HOOKS = "/hooks/"
"""Where web hooks arrive: their senders are known by a signature of the whole body."""


async def limited(inner: Application, scope: Scope, receive: Receive, send: Send) -> None:
    """Pass on to *inner*; answer 413 instead when more was announced than this asker may send, and stop reading at the limit."""
    if scope["method"] in {"GET", "HEAD", "OPTIONS"}:
        await inner(scope, receive, send)
        return
    headers = dict(scope["headers"])
    announced = int(headers.get(b"content-length", b"0")) if headers.get(b"content-length", b"0").isdigit() else 0
    chunked = b"content-length" not in headers
    most = HOOKS_BYTES if scope["path"].startswith(HOOKS) else STRANGERS_BYTES
    if most == STRANGERS_BYTES and (announced > STRANGERS_BYTES or chunked) and await sync_to_async(_known)(headers):
        most = MEMBERS_BYTES
    if announced > most:
        await _refuse(send)
        return
    await inner(scope, _counting(receive, most), send)


def _counting(receive: Receive, most: int) -> Receive:
    left = most

    async def counted() -> MutableMapping[str, Any]:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        return {"type": "http.disconnect"} if left < 0 else message

    return counted


def _known(headers: dict[bytes, bytes]) -> bool:
    """Whether a valid token or session came along."""
    kind, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if kind.lower() == "bearer":
        return token_of(token.strip()) is not None
    try:
        cookies = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1"))
    except CookieError:
        return False
    morsel = cookies.get(settings.SESSION_COOKIE_NAME)
    if morsel is None:
        return False
    from django.contrib.sessions.backends.db import SessionStore  # noqa: PLC0415 - rarely needed

    return "_auth_user_id" in SessionStore(session_key=morsel.value)


async def _refuse(send: Send) -> None:
    body = {
        "type": "urn:sitewright:problem:too_large",
        "status": 413,
        "code": "too_large",
        "title": "What was sent is too large.",
        "detail": f"{MEMBERS_BYTES // MIB} MB are the most for members, {STRANGERS_BYTES // MIB} MB for others.",
        "resolution": "Send less, and sign in first.",
    }
    headers = [(b"content-type", b"application/problem+json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})
