"""A channel as a value: what is wanted of one line of a site, and how channels differ."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sitewright.domain.names import ChannelName
from sitewright.domain.states import Mode, Power

PRODUCTION = "production"
PREVIEW_DAYS = 14
"""How long a preview lives when nobody says otherwise."""


class ChannelKind(StrEnum):
    """What a channel is for."""

    PRODUCTION = "production"
    """The one that every site has; its state is the site's."""
    NAMED = "named"
    """Made by hand: `staging`, `experimental`."""
    PREVIEW = "preview"
    """Of a branch or pull request; made and removed by the platform."""


class Previews(StrEnum):
    """Which previews a site makes by itself."""

    OFF = "off"
    PULL_REQUESTS = "pull_requests"
    BRANCHES = "branches"
    """Of every branch that no channel follows, and of pull requests."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A named line of a site. ``generation`` grows with every change of what is wanted."""

    id: str
    site_id: str
    name: ChannelName
    mode: Mode = Mode.RELEASED
    power: Power = Power.ON
    generation: int = 0
