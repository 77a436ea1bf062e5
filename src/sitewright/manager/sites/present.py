"""A site as pages show it: rows turned into what a template needs, with one query a table however many sites there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils.http import urlencode

from sitewright.domain.names import ChannelName, SiteName, default_host
from sitewright.domain.states import Mode, SiteState
from sitewright.manager.releases.models import Release
from sitewright.manager.sites.models import Channel, Site
from sitewright.manager.sites.state import current_operation, current_operations, derive, production_channels

PRODUCTION = "production"
HOST_STACK = "host"
"""The stack whose languages are those of the machine itself."""


@dataclass(frozen=True, slots=True)
class SiteCard:
    """What every page about a site, or about one of its channels, shows. ``host`` is the address without scheme and port; ``query`` is what
    an address of ours carries to be about that channel, "" for production."""

    name: str
    team: str
    state: str
    mode: str
    host: str
    url: str
    created_at: datetime
    channel: str = PRODUCTION
    query: str = ""


def cards(sites: Iterable[Site]) -> list[SiteCard]:
    """The sites for a page, in their order."""
    listed = list(sites)
    channels = production_channels(listed)
    states = derive(channels, current_operations(listed))
    return [_card(site, channels.get(site.id), states.get(site.id, SiteState.NEW)) for site in listed]


def card(site: Site) -> SiteCard:
    """One site for a page."""
    return cards([site])[0]


def card_of(channel: Channel) -> SiteCard:
    """The site of a channel as pages about that channel show it."""
    operation = current_operation(channel)
    state = derive({channel.id: channel}, {channel.id: operation} if operation else {})[channel.id]
    shown = _card(channel.site, channel, state)
    if channel.name == PRODUCTION:
        return shown
    return replace(shown, channel=channel.name, created_at=channel.created_at, query=f"?{urlencode({'channel': channel.name})}")


def _card(site: Site, channel: Channel | None, state: SiteState) -> SiteCard:
    hosts = [route.host for route in channel.routes.all() if route.is_default] if channel else []
    host = (
        hosts[0]
        if hosts
        else default_host(SiteName(site.name), ChannelName(channel.name if channel else PRODUCTION), settings.PLATFORM.domain)
    )
    return SiteCard(
        name=site.name,
        team=site.team.name,
        state=state.value,
        mode=channel.mode if channel else Mode.RELEASED.value,
        host=host,
        url=settings.PLATFORM.url(host),
        created_at=site.created_at,
    )


def stack_of(blueprint: Mapping[str, Any]) -> str:
    """What it runs on, for people: `python`, or `python · <stack>` on another stack than the host's own; "" when unknown."""
    stack = blueprint.get("stack", "")
    return " · ".join(part for part in (blueprint.get("pack", ""), "" if stack == HOST_STACK else stack) if part)


@dataclass(frozen=True, slots=True)
class ReleaseRow:
    """One release in a list. ``origin`` says where the code came from; ``kept``: the site can return to it; ``trial`` what became of it
    on trial, and why. ``changes``: {"files", "added", "removed"} since the one before; ``adopted`` is `release 3 of “staging”`."""

    id: str
    number: int
    origin: str
    size_bytes: int
    created_at: datetime
    kept: bool
    trial: str
    reason: str
    commit: str
    subject: str
    author: str
    build: str
    build_seconds: float
    changes: Mapping[str, int]
    adopted: str
    gone_at: datetime | None


def release_rows(releases: Iterable[Release], kept: frozenset[str]) -> Sequence[ReleaseRow]:
    """Releases with their builds, for a list; *kept* are the ids of those whose files are still there."""
    return [
        ReleaseRow(
            id=release.id,
            number=release.number,
            origin=_origin(release),
            size_bytes=release.size_bytes,
            created_at=release.created_at,
            kept=release.id in kept,
            trial=release.trial,
            reason=release.trial_reason,
            commit=release.commit,
            subject=release.subject,
            author=release.author.partition(" <")[0] or (release.created_by.email if release.created_by else ""),
            build=release.build_id or "",
            build_seconds=release.build_seconds,
            changes=_changes(release),
            adopted=_adopted(release),
            gone_at=release.gone_at,
        )
        for release in releases
    ]


def _changes(release: Release) -> Mapping[str, int]:
    return release.changes if release.changes and "files" in release.changes else {}


def _adopted(release: Release) -> str:
    original = release.adopted_from
    return f"release {original.number} of “{original.channel.name}”" if original else ""


def _origin(release: Release) -> str:
    source: Mapping[str, str] = release.build.source if release.build else {}
    match source.get("kind"):
        case "git":
            return " ".join(part for part in (source.get("url", ""), source.get("ref", ""), release.commit[:10]) if part)
        case "template":
            return f"template {source.get('name', '')}"
        case "upload":
            return source.get("name", "") or f"archive {source.get('digest', '')[:10]}"
        case "folder":
            return "its folder"
        case "commit":
            return " ".join(part for part in (source.get("branch", ""), release.commit[:10]) if part)
    return release.droplet[:12] or "–"
