"""Removing channels: a tombstone first, so that a node which misses it can still be told; then wait until the files are gone."""

from __future__ import annotations

from sitewright.bus.messages import ChannelQuery, Heartbeat
from sitewright.errors import NotFoundError
from sitewright.manager.bus import NodeClient
from sitewright.manager.runtime import runtime
from sitewright.manager.sites import desired
from sitewright.manager.sites.models import Channel, RemovedChannel


def bury(channel: Channel) -> None:
    """Keep what it was."""
    site = channel.site
    fields = {"site_id": site.id, "site_name": site.name, "number": site.number, "name": channel.name}
    RemovedChannel.objects.update_or_create(id=channel.id, defaults={**fields, "generation": channel.generation, "node": channel.node})


def still_there(tomb: RemovedChannel) -> bool:
    """Tell the node to remove it, and ask whether it has."""
    desired.tell(tomb.node, desired.removed_desired(tomb))
    try:
        answer = NodeClient(runtime().bus, tomb.node).ask("channel.state", ChannelQuery(channel_id=tomb.id), Heartbeat)
    except NotFoundError:
        return False
    return any(one.channel_id == tomb.id and one.applied < tomb.generation for one in answer.channels)
