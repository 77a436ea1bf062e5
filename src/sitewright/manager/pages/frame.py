"""What the frame of every page needs to know."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest

from sitewright import __version__

THEMES = ("light", "dark")


def frame(request: HttpRequest) -> dict[str, object]:
    """The chosen theme ("" follows the system), the version in the foot, and whether strangers may sign up."""
    theme = request.COOKIES.get("theme", "")
    return {
        "theme": theme if theme in THEMES else "",
        "platform_version": __version__,
        "sign_up_open": settings.SIGN_UP_OPEN,
        "request_id": getattr(request, "request_id", ""),
    }
