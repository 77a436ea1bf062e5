"""`?channel=`: which channel of the site an address is about."""

from __future__ import annotations

from django.http import HttpRequest
from ninja.params.functions import Query

from sitewright.domain.channel import PRODUCTION
from sitewright.domain.states import Role
from sitewright.manager.api.auth import person
from sitewright.manager.sites.access import channel_for
from sitewright.manager.sites.models import Channel

CHANNEL: str = Query(PRODUCTION, max_length=63, description="Which channel of the site.")
ANY_CHANNEL: str = Query("", max_length=63, description="Only of this channel; of all without.")


def asked_channel(request: HttpRequest, name: str, channel: str, role: Role = Role.VIEWER) -> Channel:
    """The channel of the site of that *name*, for whoever asks. Raises NotFoundError, ForbiddenError."""
    return channel_for(person(request), name, role, channel or PRODUCTION)
