"""What the orchestrator asks of a router."""

from __future__ import annotations

from typing import Protocol

from sitewright.domain.route import ChannelRoute


class Routes(Protocol):
    """The routing table. Calls are quick and safe to repeat; what was set stays when this process dies."""

    def set(self, route: ChannelRoute) -> object:
        """Serve this from now on, in place of what the channel had."""
        ...

    def remove(self, channel_id: str) -> object:
        """Serve that channel no more."""
        ...

    def channels(self) -> frozenset[str]:
        """The channels that are served now."""
        ...
