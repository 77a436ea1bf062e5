"""A site as a value, and how its state follows from what is wanted, what runs and what is being done."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sitewright.domain.names import SiteName
from sitewright.domain.operation import OperationKind
from sitewright.domain.states import InstanceState, Power, SiteState


@dataclass(frozen=True, slots=True)
class Site:
    """A named website of a team. ``number`` is what its uid follows from."""

    id: str
    number: int
    name: SiteName
    team_id: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """All that a site's state follows from: its production channel and the operation that is queued or under way.

    ``web`` are the states of its web instances; ``static`` needs none. ``asleep``: nobody visits it, and who comes wakes it.
    """

    power: Power
    released: bool
    static: bool
    web: tuple[InstanceState, ...]
    operation: OperationKind | None = None
    asleep: bool = False


def state_of(seen: Sighting) -> SiteState:
    """What a person sees. What is being done goes before what was wanted, and that before what runs."""
    if seen.operation is OperationKind.DELETE:
        return SiteState.DELETING
    if not seen.released:
        return SiteState.DEPLOYING if seen.operation else SiteState.NEW
    if seen.operation in {OperationKind.CREATE, OperationKind.DEPLOY}:
        return SiteState.DEPLOYING
    if seen.power is Power.OFF:
        return SiteState.STOPPED
    return _running(seen)


def _running(seen: Sighting) -> SiteState:
    if seen.asleep and not seen.static:
        return SiteState.SLEEPING
    if seen.static or InstanceState.READY in seen.web:
        return SiteState.RUNNING
    return _without_ready(seen.web)


def _without_ready(web: Collection[InstanceState]) -> SiteState:
    if InstanceState.FROZEN in web:
        return SiteState.SLEEPING
    if InstanceState.STARTING not in web and InstanceState.CRASHED in web:
        return SiteState.CRASHED
    return SiteState.STARTING
