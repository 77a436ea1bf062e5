"""`?channel=`: which channel of its site a page is about."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode

from sitewright.domain.channel import PRODUCTION
from sitewright.domain.states import Role
from sitewright.manager.accounts.models import User
from sitewright.manager.pages.view import person
from sitewright.manager.sites.access import channel_for, channels_for
from sitewright.manager.sites.models import Channel
from sitewright.manager.sites.protection import role_needed


def asked(request: HttpRequest, name: str, role: Role = Role.VIEWER) -> Channel:
    """The channel in ``?channel=`` of the site of that *name*, production without. Raises NotFoundError, ForbiddenError."""
    return channel_for(person(request), name, role, request.GET.get("channel") or PRODUCTION)


def address(view: str, site: str, channel: str = PRODUCTION, *arguments: object) -> str:
    """The address of a page of ours about that channel."""
    query = "" if channel == PRODUCTION else f"?{urlencode({'channel': channel})}"
    return reverse(view, args=[site, *arguments]) + query


def back(view: str, channel: Channel) -> HttpResponse:
    """To a page about that channel."""
    return redirect(address(view, channel.site.name, channel.name))


def may_deploy(user: User, channel: Channel) -> bool:
    """Whether *user* may bring something else to its visitors: a protected channel can need more than the usual role."""
    return channels_for(user, role_needed(channel)).filter(id=channel.id).exists()
