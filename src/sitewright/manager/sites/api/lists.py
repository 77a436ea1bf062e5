"""/sites/{name}/events, releases, instances, operations."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router

from sitewright.manager.api.auth import person
from sitewright.manager.api.paging import USUAL, page
from sitewright.manager.audit.access import for_user as events_for
from sitewright.manager.operations.access import for_user as operations_for
from sitewright.manager.operations.schemas import OperationList, operation_out
from sitewright.manager.releases.access import for_user as releases_for
from sitewright.manager.releases.schemas import ReleaseList, release_out
from sitewright.manager.releases.services import kept_releases
from sitewright.manager.sites.access import channels_for, instances_for, site_for
from sitewright.manager.sites.schemas import EventList, EventOut, InstanceList, InstanceOut

router = Router(tags=["sites"])


@router.get("/{name}/events", response=EventList, operation_id="listEvents")
def list_events(request: HttpRequest, name: str, cursor: str = "", limit: int = USUAL) -> EventList:
    """The timeline, newest first."""
    user = person(request)
    rows, following = page(events_for(user).filter(site=site_for(user, name)), ("-at", "-id"), cursor, limit)
    items = [EventOut(id=row.id, kind=row.kind, at=row.at, text=row.text, who=row.who, operation=row.operation_id) for row in rows]
    return EventList(items=items, next=following)


@router.get("/{name}/releases", response=ReleaseList, operation_id="listReleases")
def list_releases(request: HttpRequest, name: str, cursor: str = "", limit: int = USUAL) -> ReleaseList:
    """Releases, newest first."""
    user = person(request)
    site = site_for(user, name)
    live = set(channels_for(user).filter(site=site).values_list("release_id", flat=True))
    rows, following = page(releases_for(user).filter(channel__site=site, channel__name="production"), ("-number",), cursor, limit)
    kept = frozenset().union(*(kept_releases(channel) for channel in channels_for(user).filter(site=site)))
    return ReleaseList(items=[release_out(row, row.id if row.id in live else None, kept) for row in rows], next=following)


@router.get("/{name}/instances", response=InstanceList, operation_id="listInstances")
def list_instances(request: HttpRequest, name: str) -> InstanceList:
    """What runs, as the node last reported it."""
    user = person(request)
    rows = instances_for(user).filter(channel__site=site_for(user, name))
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
def list_site_operations(request: HttpRequest, name: str, cursor: str = "", limit: int = USUAL) -> OperationList:
    """Operations of the site, newest first."""
    user = person(request)
    rows, following = page(operations_for(user).filter(site=site_for(user, name)), ("-created_at", "-id"), cursor, limit)
    return OperationList(items=[operation_out(row) for row in rows], next=following)
