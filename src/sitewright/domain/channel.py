"""A channel as a value: what is wanted of one line of a site."""

from __future__ import annotations

from dataclasses import dataclass

from sitewright.domain.names import ChannelName
from sitewright.domain.states import Mode, Power


@dataclass(frozen=True, slots=True)
class Channel:
    """A named line of a site. ``generation`` grows with every change of what is wanted."""

    id: str
    site_id: str
    name: ChannelName
    mode: Mode = Mode.RELEASED
    power: Power = Power.ON
    generation: int = 0
