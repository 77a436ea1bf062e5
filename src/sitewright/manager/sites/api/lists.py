"""/sites/{name}/events, releases, instances, operations."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router
from ninja.params.functions import Query

from sitewright.domain.git import Changes
from sitewright.domain.states import Role
from sitewright.errors import NotFoundError
from sitewright.manager.api.auth import person
from sitewright.manager.api.paging import USUAL, page
from sitewright.manager.audit.access import for_user as events_for
from sitewright.manager.audit.services import trail
from sitewright.manager.operations.access import for_user as operations_for
from sitewright.manager.operations.schemas import OperationList, operation_out
from sitewright.manager.releases.access import for_user as releases_for
from sitewright.manager.releases.models import Release
from sitewright.manager.releases.present import env_diff, one_before
from sitewright.manager.releases.schemas import EnvDiffOut, KeepIn, KeepOut, ReleaseList, ReleaseOut, release_out
from sitewright.manager.releases.services import kept_releases
from sitewright.manager.sites import branches
from sitewright.manager.sites.access import channel_for, instances_for, site_for
from sitewright.manager.sites.api.channel import ANY_CHANNEL, CHANNEL, asked_channel
from sitewright.manager.sites.models import Channel, Site
from sitewright.manager.sites.present_channels import changes_out
from sitewright.manager.sites.schemas import EventList, EventOut, InstanceList, InstanceOut
from sitewright.manager.sites.schemas_channels import ChangesOut

router = Router(tags=["sites"])


@router.get("/{name}/events", response=EventList, operation_id="listEvents")
def list_events(request: HttpRequest, name: str, cursor: str = "", limit: int = USUAL, channel: str = ANY_CHANNEL) -> EventList:
    """The timeline, newest first."""
    user = person(request)
    events = events_for(user).filter(site=site_for(user, name))
    if channel:
        events = events.filter(channel_id=channel_for(user, name, channel=channel).id)
    rows, following = page(events, ("-at", "-id"), cursor, limit)
    items = [EventOut(id=row.id, kind=row.kind, at=row.at, text=row.text, who=row.who, operation=row.operation_id) for row in rows]
    return EventList(items=items, next=following)


@router.get("/{name}/releases", response=ReleaseList, operation_id="listReleases")
def list_releases(request: HttpRequest, name: str, cursor: str = "", limit: int = USUAL, channel: str = CHANNEL) -> ReleaseList:
    """Releases of a channel, newest first."""
    row = asked_channel(request, name, channel)
    found, following = page(releases_for(person(request)).filter(channel=row), ("-number",), cursor, limit)
    kept = kept_releases(row)
    return ReleaseList(items=[release_out(one, row.release_id, kept) for one in found], next=following, keep=row.site.keep_releases)


@router.patch("/{name}/releases", response=KeepOut, operation_id="keepReleases")
def keep_releases(request: HttpRequest, name: str, body: KeepIn) -> KeepOut:
    """How many releases of each channel are kept; fewer holds from the next deploy on, and what was given up does not come back."""
    user = person(request)
    site = site_for(user, name, Role.DEVELOPER)
    Site.objects.filter(id=site.id).update(keep_releases=body.keep)
    trail(user, "site.keep", site.id, site.name, keep=body.keep)
    return KeepOut(keep=body.keep)


def _release(request: HttpRequest, channel: Channel, number: int) -> Release:
    release = releases_for(person(request)).filter(channel=channel, number=number).first()
    if release is None:
        raise NotFoundError(f"There is no release {number}.", resolution="The list of releases shows what there is.")
    return release


@router.get("/{name}/releases/{number}", response=ReleaseOut, operation_id="getRelease")
def get_release(request: HttpRequest, name: str, number: int, channel: str = CHANNEL) -> ReleaseOut:
    """One release of a channel."""
    row = asked_channel(request, name, channel)
    return release_out(_release(request, row, number), row.release_id, kept_releases(row))


@router.get("/{name}/releases/{number}/changes", response=ChangesOut, operation_id="getReleaseChanges")
def get_release_changes(
    request: HttpRequest, name: str, number: int, since: int = 0, limit: int = Query(100, ge=1, le=500), channel: str = CHANNEL
) -> ChangesOut:
    """Commits and files since the release *since*; without, since the one that was live before."""
    row = asked_channel(request, name, channel)
    release = _release(request, row, number)
    before = _release(request, row, since) if since else one_before(release)
    old = before.commit if before else ""
    if not release.commit:
        return changes_out(old, "", Changes())
    return changes_out(old, release.commit, branches.changes(row, old, release.commit, limit))


@router.get("/{name}/releases/{number}/env-diff", response=EnvDiffOut, operation_id="getEnvDiff")
def get_env_diff(request: HttpRequest, name: str, number: int, to: int, channel: str = CHANNEL) -> EnvDiffOut:
    """Which variables had other values when the release *to* went live."""
    row = asked_channel(request, name, channel)
    found = env_diff(_release(request, row, number), _release(request, row, to))
    return EnvDiffOut(added=found.added, removed=found.removed, changed=found.changed)


@router.get("/{name}/instances", response=InstanceList, operation_id="listInstances")
def list_instances(request: HttpRequest, name: str, channel: str = CHANNEL) -> InstanceList:
    """What runs of a channel, as the node last reported it."""
    rows = instances_for(person(request)).filter(channel=asked_channel(request, name, channel))
    items = [
        InstanceOut(
            id=row.id,
            process=row.process,
            state=row.state,
            since=row.since,
            node=row.node,
            memory_bytes=row.memory_bytes,
            cpu_seconds=row.cpu_seconds,
            restarts=row.restarts,
            reason=row.reason,
        )
        for row in rows
    ]
    return InstanceList(items=items, next=None)


@router.get("/{name}/operations", response=OperationList, operation_id="listSiteOperations")
def list_site_operations(
    request: HttpRequest, name: str, cursor: str = "", limit: int = USUAL, channel: str = ANY_CHANNEL
) -> OperationList:
    """Operations of the site, newest first."""
    user = person(request)
    operations = operations_for(user).filter(site=site_for(user, name))
    if channel:
        operations = operations.filter(channel=channel_for(user, name, channel=channel))
    rows, following = page(operations, ("-created_at", "-id"), cursor, limit)
    return OperationList(items=[operation_out(row) for row in rows], next=following)
