"""Builds and releases: starting, hearing of, keeping."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from django.db import transaction
from django.db.models import F

from sitewright.bus.messages import BuildRequest, BuildStatus, Source
from sitewright.domain.states import BuildState, Mode
from sitewright.manager.accounts.models import User
from sitewright.manager.releases.models import Build, Release
from sitewright.manager.sites.blueprints import blueprint_document
from sitewright.manager.sites.desired import environment
from sitewright.manager.sites.models import Channel
from sitewright.manager.teams.plans import allowance_for
from sitewright.manager.teams.services import usage

FINISHED = (BuildState.SUCCEEDED.value, BuildState.FAILED.value, BuildState.CANCELLED.value)


def start_build(channel: Channel, source: Mapping[str, Any], user: User | None) -> Build:
    """A new build with the channel's next release number. Call inside a transaction; the node is asked by the operation."""
    Channel.objects.filter(id=channel.id).update(release_counter=F("release_counter") + 1)
    channel.refresh_from_db(fields=["release_counter"])
    return Build.objects.create(
        channel=channel, node=channel.node, source=dict(source), release_number=channel.release_counter, created_by=user
    )


def request_of(build: Build, source: Source, mode: Mode) -> BuildRequest:
    """What the node's builder is asked."""
    from sitewright.manager.repositories.models import PullRequest  # noqa: PLC0415 - repositories are above releases

    channel = build.channel
    kind: Literal["live", "released"] = "live" if mode is Mode.LIVE else "released"
    team = channel.site.team
    left = min(max(team.max_disk_bytes - usage(team).disk_bytes, 1), allowance_for(team).disk_bytes)
    return BuildRequest(
        build_id=build.id,
        site_id=channel.site_id,
        number=channel.site.number,
        channel_id=channel.id,
        channel=channel.name,
        mode=kind,
        source=source,
        release_number=build.release_number,
        env=environment(channel),
        secrets=tuple(channel.variables.filter(secret=True).values_list("name", flat=True)),
        quota_bytes=left,
        team_id=str(team.id),
        weight=team.build_weight,
        foreign=PullRequest.objects.filter(channel=channel, fork=True).exists(),
    )


def record_build_status(status: BuildStatus, node: str) -> str | None:
    """Keep what a node says of a build; the id of its site when that is news. A finished build never changes again."""
    fields: dict[str, Any] = {
        "state": status.state.value,
        "phase": status.phase,
        "position": status.position,
        "wait_seconds": status.wait_seconds,
        "started_at": _when(status.started_at),
        "finished_at": _when(status.finished_at),
        "droplet": status.droplet,
        "size_bytes": status.size_bytes,
        "commit": status.commit,
        "problem": status.problem,
        "details": status.details,
        "resolution": status.resolution,
    }
    if status.blueprint is not None:
        fields["blueprint"] = blueprint_document(status.blueprint)
    changed = Build.objects.filter(id=status.build_id, node=node).exclude(state__in=FINISHED).update(**fields)
    if not changed:
        return None
    return str(Build.objects.values_list("channel__site_id", flat=True).get(id=status.build_id))


def _when(seconds: float) -> datetime | None:
    return datetime.fromtimestamp(seconds, tz=UTC) if seconds else None


def record_release(build: Build, told: Mapping[str, Any]) -> Release:
    """The release that a successful build made; the same one when asked again. *told*: more of its columns."""
    with transaction.atomic():
        release, _ = Release.objects.get_or_create(
            channel_id=build.channel_id,
            number=build.release_number,
            defaults={
                "droplet": build.droplet,
                "size_bytes": build.size_bytes,
                "blueprint": build.blueprint or {"pack": "", "stack": ""},
                "commit": build.commit,
                "build": build,
                "created_by": build.created_by,
                "build_seconds": _seconds(build),
                **told,
            },
        )
    return release


def _seconds(build: Build) -> float:
    """How long it ran, without its time in the queue; 0 when that is not known."""
    if build.started_at is None or build.finished_at is None:
        return 0.0
    return max((build.finished_at - build.started_at).total_seconds(), 0.0)


def kept_releases(channel: Channel) -> frozenset[str]:
    """Ids of the releases that the channel can return to: the live one, the one on trial, the newest few; other droplets are collected,
    and what was given up once stays so."""
    newest = Release.objects.filter(channel=channel, gone_at=None).exclude(droplet="").order_by("-number").values_list("id", flat=True)
    used = (one for one in (channel.release_id, channel.canary_release_id) if one)
    return frozenset((*newest[: max(channel.site.keep_releases, 1)], *used))
