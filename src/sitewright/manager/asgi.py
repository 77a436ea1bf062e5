"""The manager as an ASGI application: Django, with terminals (web sockets) loaded when the first one is opened."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sitewright.manager.settings")

from django.core.asgi import get_asgi_application

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

pages = get_asgi_application()

from sitewright.manager.api.bodies import limited  # noqa: E402 - models load after Django is set up
from sitewright.manager.doors.git_http import git, is_git  # noqa: E402


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Pages, API and terminals."""
    if scope["type"] == "websocket":
        from sitewright.manager.api.sockets import sockets  # noqa: PLC0415 - Channels loads with the first terminal

        await sockets(scope, receive, send)
    elif scope["type"] == "http" and is_git(scope["path"]):
        await git(scope, receive, send)
    elif scope["type"] == "http":
        await limited(pages, scope, receive, send)
