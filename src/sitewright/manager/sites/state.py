"""The state that a person sees, for many sites in a few queries."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from django.db.models import Count, Q, QuerySet

from sitewright.domain.channel import PRODUCTION
from sitewright.domain.operation import OperationKind
from sitewright.domain.site import Sighting, state_of
from sitewright.domain.sleep import SleepStage
from sitewright.domain.states import FINAL_OPERATION_STATES, InstanceState, OperationState, Power, SiteState
from sitewright.manager.operations.models import Operation
from sitewright.manager.releases.models import Release
from sitewright.manager.sites.models import Channel, Instance, Site

ASLEEP = frozenset({SleepStage.FROZEN.value, SleepStage.STOPPED.value})
UNFINISHED = [state.value for state in OperationState if state not in FINAL_OPERATION_STATES]


def current_operations(sites: Iterable[Site]) -> dict[str, Operation]:
    """Site id → the operation that runs, waits, or is next; absent when there is none."""
    told = Q(channel=None) | Q(channel__name=PRODUCTION)  # what goes on in other channels says nothing about the site
    rows = Operation.objects.filter(told, site__in=list(sites), state__in=UNFINISHED).exclude(kind=OperationKind.SYNC.value)
    rows = rows.select_related("channel", "created_by").prefetch_related("steps").order_by("created_at")
    found: dict[str, Operation] = {}
    for row in rows:
        former = found.get(str(row.site_id))
        if former is None or (former.state == OperationState.QUEUED and row.state != OperationState.QUEUED):
            found[str(row.site_id)] = row
    return found


def current_operation(channel: Channel) -> Operation | None:
    """What runs, waits, or is next in one channel, or about its whole site."""
    if channel.name == PRODUCTION:
        return current_operations([channel.site]).get(channel.site_id)
    told = Q(channel=None) | Q(channel=channel)
    rows = Operation.objects.filter(told, site=channel.site_id, state__in=UNFINISHED).exclude(kind=OperationKind.SYNC.value)
    listed = list(rows.select_related("channel", "created_by").prefetch_related("steps").order_by("created_at"))
    return next((one for one in listed if one.state != OperationState.QUEUED), listed[0] if listed else None)


def production_channels(sites: Iterable[Site]) -> dict[str, Channel]:
    """Site id → its production channel."""
    rows = Channel.objects.filter(site__in=list(sites), name="production")
    rows = rows.select_related("release", "canary_release", "site__team").prefetch_related("routes")
    return {row.site_id: row for row in rows}


def states_of(sites: Iterable[Site]) -> dict[str, SiteState]:
    """Site id → state."""
    listed = list(sites)
    channels = production_channels(listed)
    return derive(channels, current_operations(listed))


def count_states(sites: QuerySet[Site]) -> dict[SiteState, int]:
    """How many of them are in which state. Only those that run or change something are looked at one by one: most of ten thousand do
    neither, and are counted by what they have in common."""
    busy = sites.filter(Q(channels__instances__isnull=False) | Q(operations__state__in=UNFINISHED)).distinct()
    counts = Counter(states_of(busy).values())
    quiet = Channel.objects.filter(site__in=sites, name="production").exclude(site__in=busy.values("id"))
    alike = quiet.values_list("power", "sleep_stage", "release__blueprint").annotate(count=Count("id")).order_by()
    for power, stage, blueprint, count in alike:
        release = None if blueprint is None else Release(blueprint=blueprint)
        example = {"": Channel(power=power, sleep_stage=stage, release=release)}
        counts[derive(example, {})[""]] += count
    return dict(counts)


def derive(channels: dict[str, Channel], operations: dict[str, Operation]) -> dict[str, SiteState]:
    """The same from rows that are at hand."""
    living: dict[str, list[tuple[str, InstanceState]]] = defaultdict(list)
    rows = Instance.objects.filter(channel__in=[channel.id for channel in channels.values()])
    for channel_id, process, state in rows.values_list("channel_id", "process", "state"):
        living[channel_id].append((process, InstanceState(state)))
    return {
        site_id: state_of(
            Sighting(
                power=Power(channel.power),
                released=channel.release_id is not None,
                static=is_static(channel) or not runs_all_the_time(channel),
                web=_telling(channel, living[channel.id]),
                operation=OperationKind(operations[site_id].kind) if site_id in operations else None,
                asleep=channel.sleep_stage in ASLEEP,
            )
        )
        for site_id, channel in channels.items()
    }


def _telling(channel: Channel, living: list[tuple[str, InstanceState]]) -> tuple[InstanceState, ...]:
    """The states that tell how the site is: those of its web process, of whatever runs all the time when it has none."""
    wanted = runs_all_the_time(channel)
    wanted = {"web"} if "web" in wanted else wanted
    return tuple(state for process, state in living if process in wanted)


def runs_all_the_time(channel: Channel) -> set[str]:
    """The process types that do: neither cron processes nor the release command."""
    processes = (channel.release.blueprint or {}).get("processes") or [] if channel.release else []
    return {one.get("type", "") for one in processes if not one.get("schedule") and one.get("type") != "release"}


def is_static(channel: Channel) -> bool:
    """Whether nginx alone serves the channel's release."""
    if channel.release is None:
        return False
    blueprint: dict[str, Any] = channel.release.blueprint or {}
    processes = blueprint.get("processes") or []
    return blueprint.get("static_root") is not None and all(one.get("type") != "web" for one in processes)
