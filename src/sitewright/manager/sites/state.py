"""The state that a person sees, for many sites in a few queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sitewright.domain.operation import OperationKind
from sitewright.domain.site import Sighting, state_of
from sitewright.domain.states import FINAL_OPERATION_STATES, InstanceState, OperationState, Power, SiteState
from sitewright.manager.operations.models import Operation
from sitewright.manager.sites.models import Channel, Instance, Site

UNFINISHED = [state.value for state in OperationState if state not in FINAL_OPERATION_STATES]


def current_operations(sites: Iterable[Site]) -> dict[str, Operation]:
    """Site id → the operation that runs, waits, or is next; absent when there is none."""
    rows = Operation.objects.filter(site__in=list(sites), state__in=UNFINISHED).prefetch_related("steps").order_by("created_at")
    found: dict[str, Operation] = {}
    for row in rows:
        former = found.get(str(row.site_id))
        if former is None or (former.state == OperationState.QUEUED and row.state != OperationState.QUEUED):
            found[str(row.site_id)] = row
    return found


def production_channels(sites: Iterable[Site]) -> dict[str, Channel]:
    """Site id → its production channel."""
    rows = Channel.objects.filter(site__in=list(sites), name="production").select_related("release").prefetch_related("routes")
    return {row.site_id: row for row in rows}


def states_of(sites: Iterable[Site]) -> dict[str, SiteState]:
    """Site id → state."""
    listed = list(sites)
    channels = production_channels(listed)
    return derive(channels, current_operations(listed))


def derive(channels: dict[str, Channel], operations: dict[str, Operation]) -> dict[str, SiteState]:
    """The same from rows that are at hand."""
    web: dict[str, list[InstanceState]] = defaultdict(list)
    rows = Instance.objects.filter(channel__in=[channel.id for channel in channels.values()], process="web")
    for channel_id, state in rows.values_list("channel_id", "state"):
        web[channel_id].append(InstanceState(state))
    return {
        site_id: state_of(
            Sighting(
                power=Power(channel.power),
                released=channel.release_id is not None,
                static=is_static(channel),
                web=tuple(web[channel.id]),
                operation=OperationKind(operations[site_id].kind) if site_id in operations else None,
            )
        )
        for site_id, channel in channels.items()
    }


def is_static(channel: Channel) -> bool:
    """Whether nginx alone serves the channel's release."""
    if channel.release is None:
        return False
    blueprint: dict[str, Any] = channel.release.blueprint or {}
    processes = blueprint.get("processes") or []
    return blueprint.get("static_root") is not None and all(one.get("type") != "web" for one in processes)
