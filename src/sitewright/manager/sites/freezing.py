"""Deploy freezes: for a while nothing new comes to a channel's visitors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sitewright.domain.events import EventKind, as_told
from sitewright.errors import ConflictError, InvalidValueError
from sitewright.manager.accounts.models import User
from sitewright.manager.audit.services import noted, trail
from sitewright.manager.runtime import runtime
from sitewright.manager.sites import protection
from sitewright.manager.sites.models import Channel

LONGEST = timedelta(days=366)
LONGEST_REASON = 200


def freeze(user: User, channel: Channel, until: datetime, reason: str = "") -> None:
    """Let nothing be deployed to the channel before *until*. Raises InvalidValueError, ForbiddenError."""
    protection.check_role(user, channel)
    now = datetime.fromtimestamp(runtime().clock.now(), tz=UTC)
    end = until if until.tzinfo else until.replace(tzinfo=UTC)
    if not now < end <= now + LONGEST:
        raise InvalidValueError("A freeze ends in the future, within a year.", resolution="Give another time.")
    told = as_told(reason.strip(), LONGEST_REASON)
    Channel.objects.filter(id=channel.id).update(frozen_until=end, frozen_reason=told, frozen_by=user)
    channel.frozen_until, channel.frozen_reason, channel.frozen_by = end, told, user
    trail(user, "channel.frozen", channel.site_id, channel.site.name, channel=channel.name, until=end.isoformat(), reason=told)
    why = f": {told}" if told else ""
    noted(channel.site_id, EventKind.FROZEN, f"Nothing is deployed until {end:%Y-%m-%d %H:%M} UTC{why}.", user, channel)


def unfreeze(user: User, channel: Channel) -> None:
    """End a freeze before its time. Raises ConflictError when there is none, ForbiddenError."""
    protection.check_role(user, channel)
    if protection.frozen_until(channel) is None:
        raise ConflictError(f"The channel “{channel.name}” is not frozen.")
    Channel.objects.filter(id=channel.id).update(frozen_until=None, frozen_reason="", frozen_by=None)
    channel.frozen_until, channel.frozen_reason, channel.frozen_by = None, "", None
    trail(user, "channel.unfrozen", channel.site_id, channel.site.name, channel=channel.name)
    noted(channel.site_id, EventKind.UNFROZEN, "It can be deployed to again.", user, channel)
