"""What can be done with how a site runs: scale, settle, return, promote, abort, wake."""

from __future__ import annotations

from sitewright.bus.messages import Ack, ChannelQuery
from sitewright.domain.events import as_told
from sitewright.domain.operation import OperationKind
from sitewright.domain.states import Power
from sitewright.errors import ConflictError, EngineError, InvalidValueError
from sitewright.manager.accounts.models import User
from sitewright.manager.audit.services import trail
from sitewright.manager.bus import NodeClient
from sitewright.manager.operations.models import Operation
from sitewright.manager.operations.services import Ask, known, submit
from sitewright.manager.releases.returning import release_to_return_to
from sitewright.manager.runtime import runtime
from sitewright.manager.sites import protection
from sitewright.manager.sites.models import Channel, Site
from sitewright.manager.sites.scale import Asked, merged, wanted_memory
from sitewright.manager.sites.services import LONGEST_WHY, production
from sitewright.manager.sites.settled import Wish, fields_of
from sitewright.manager.teams.plans import allowance_for
from sitewright.manager.teams.services import check_room

WAKE = "channel.wake"
WAKE_SECONDS = 20.0


def scale(user: User, site: Site, asked: Asked, key: str = "", channel: Channel | None = None) -> Operation:
    """Another number of copies, or another size. Raises InvalidValueError, NotFoundError, QuotaError, in words."""
    before = known(user, key, OperationKind.SCALE, site, channel)
    if before is not None:
        return before
    processes = {name: dict(change) for name, change in asked.items() if change}
    if not processes:
        raise InvalidValueError("Nothing was asked for.", resolution="Name at least one process to scale.")
    channel = channel or production(site)
    allowance = allowance_for(channel.site.team)
    channel.scale = merged(channel, processes, allowance)
    if channel.power == Power.ON.value:
        more = wanted_memory(channel, allowance) - channel.wanted_memory_bytes
        if more > 0:
            check_room(channel.site.team, memory_bytes=more)
    trail(user, "site.scale", site.id, site.name, processes=processes)
    return submit(Ask(OperationKind.SCALE, site, user, {"processes": processes}, key, channel))


def configure(user: User, site: Site, wish: Wish, key: str = "", channel: Channel | None = None) -> Operation:
    """Other settings. Raises InvalidValueError, in words."""
    before = known(user, key, OperationKind.CONFIGURE, site, channel)
    if before is not None:
        return before
    channel = channel or production(site)
    fields = fields_of(channel, wish, allowance_for(channel.site.team))
    trail(user, "site.configure", site.id, site.name, fields=fields)
    return submit(Ask(OperationKind.CONFIGURE, site, user, {"fields": fields}, key, channel))


def rollback(user: User, site: Site, number: int | None = None, key: str = "", channel: Channel | None = None, why: str = "") -> Operation:
    """Return to a release; without a *number* to the one before. *why* is told in the timeline. Raises NotFoundError, ConflictError,
    ForbiddenError."""
    before = known(user, key, OperationKind.ROLLBACK, site, channel)
    if before is not None:
        return before
    channel = channel or production(site)
    protection.check(user, channel, OperationKind.ROLLBACK)
    target = release_to_return_to(channel, number)
    why = as_told(why.strip(), LONGEST_WHY)
    trail(user, "site.rollback", site.id, site.name, release=target.number, channel=channel.name, why=why)
    return submit(Ask(OperationKind.ROLLBACK, site, user, {"release": target.number, "why": why}, key, channel))


def end_trial(user: User, site: Site, kind: OperationKind, key: str = "", channel: Channel | None = None) -> Operation:
    """Promote or abort the release on trial. Raises ConflictError when there is none, ForbiddenError."""
    if kind not in {OperationKind.PROMOTE, OperationKind.ABORT}:
        raise InvalidValueError(f"“{kind}” is none of promote, abort.")
    before = known(user, key, kind, site, channel)
    if before is not None:
        return before
    channel = channel or production(site)
    protection.check(user, channel, kind)
    if channel.canary_release_id is None:
        raise ConflictError("No release is on trial.", resolution="Deploy one with a share of the visitors first.")
    trail(user, f"site.{kind.value}", site.id, site.name, channel=channel.name)
    return submit(Ask(kind, site, user, {}, key, channel))


def wake(user: User, site: Site, channel: Channel | None = None) -> None:
    """Begin to wake it as a visitor would. Raises ConflictError when it is stopped, UnavailableError, EngineError when its node cannot."""
    channel = channel or production(site)
    if channel.release_id is None or channel.power != Power.ON.value:
        raise ConflictError("The site does not sleep: it is stopped.", resolution="Start it.")
    trail(user, "site.wake", site.id, site.name)
    answer = NodeClient(runtime().bus, channel.node).ask(WAKE, ChannelQuery(channel_id=channel.id), Ack, WAKE_SECONDS)
    if answer.problem:
        raise EngineError("The site did not wake.", details=answer.problem, resolution="Look at its logs.")
