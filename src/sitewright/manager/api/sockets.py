"""Web sockets: who may open one, and from which page."""

from __future__ import annotations

from channels.routing import URLRouter
from django.urls import re_path

from sitewright.manager.sites.terminal import TerminalConsumer

sockets = URLRouter([re_path(r"^api/v1/sites/(?P<name>[a-z0-9-]{1,63})/exec$", TerminalConsumer.as_asgi())])
