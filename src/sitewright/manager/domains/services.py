"""Making and moving routes."""

from __future__ import annotations

from django.conf import settings

from sitewright.domain.names import ChannelName, HostName, SiteName, default_host
from sitewright.manager.domains.models import Route
from sitewright.manager.sites.models import Channel


def host_for(channel: Channel, site_name: str) -> HostName:
    """The address that a channel has without a domain of its own."""
    return default_host(SiteName(site_name), ChannelName(channel.name), settings.PLATFORM.domain)


def add_default_route(channel: Channel) -> Route:
    """The first route of a new channel. Raises IntegrityError when the host is taken."""
    return Route.objects.create(host=host_for(channel, channel.site.name), channel=channel, is_default=True)


def move_default_route(channel: Channel, site_name: str) -> None:
    """Follow the site to its new name. Raises IntegrityError when the host is taken."""
    Route.objects.filter(channel=channel, is_default=True).update(host=host_for(channel, site_name))
