"""Site rows turned into what the API shows, with one query a table however many sites there are."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings

from sitewright.domain.states import Mode, Power, SiteState
from sitewright.manager.operations.models import Operation
from sitewright.manager.operations.schemas import operation_out
from sitewright.manager.sites.models import Channel, Site
from sitewright.manager.sites.present_running import canary_out, sleep_out
from sitewright.manager.sites.schemas import ChannelOut, GitOut, SiteOut
from sitewright.manager.sites.state import current_operations, derive, production_channels
from sitewright.manager.teams.allowance import Allowance
from sitewright.manager.teams.plans import Book


def site_list(sites: Sequence[Site]) -> list[SiteOut]:
    """The sites as the API shows them, in the same order."""
    channels = production_channels(sites)
    operations = current_operations(sites)
    states = derive(channels, operations)
    book = Book()
    return [
        _site_out(site, channel_out(channels[site.id], book.allowance(site.team)), states[site.id], operations.get(site.id))
        for site in sites
        if site.id in channels
    ]


def site_out(site: Site) -> SiteOut:
    """One of them."""
    return site_list([site])[0]


def _site_out(site: Site, shown: ChannelOut, state: SiteState, operation: Operation | None) -> SiteOut:
    return SiteOut(
        id=site.id,
        name=site.name,
        team=site.team.name,
        state=state,
        mode=shown.mode,
        url=shown.urls[0] if shown.urls else "",
        release=shown.release,
        created_at=site.created_at,
        channel=shown,
        git=git_out(site),
        operation=operation_out(operation) if operation else None,
    )


def git_out(site: Site) -> GitOut:
    """Where its code is."""
    platform = settings.PLATFORM
    return GitOut(ssh=platform.ssh_url(site.name), https=platform.git_url(site.name), default_branch=site.default_branch)


def channel_out(channel: Channel, allowance: Allowance) -> ChannelOut:
    """A channel with its addresses, the default one first."""
    hosts = [route.host for route in channel.routes.all()]
    return ChannelOut(
        id=channel.id,
        name=channel.name,
        mode=Mode(channel.mode),
        power=Power(channel.power),
        generation=channel.generation,
        applied=channel.applied,
        problem=channel.problem,
        node=channel.node,
        hosts=hosts,
        urls=[settings.PLATFORM.url(host) for host in hosts],
        release=channel.release.number if channel.release else None,
        sleep=sleep_out(channel, allowance),
        canary=canary_out(channel),
        last_request_at=channel.last_request_at,
    )
