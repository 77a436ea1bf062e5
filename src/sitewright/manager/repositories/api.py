"""/sites/{name}/connection, …/deliveries, …/previews."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router, Status

from sitewright.domain.channel import Previews
from sitewright.domain.identity import is_id
from sitewright.domain.states import Role
from sitewright.errors import NotFoundError
from sitewright.manager.accounts.models import User
from sitewright.manager.api.auth import person
from sitewright.manager.api.paging import USUAL, page
from sitewright.manager.audit.services import trail
from sitewright.manager.operations.schemas import Accepted, operation_out
from sitewright.manager.repositories import deliveries, previews, services
from sitewright.manager.repositories.access import deliveries_for, pull_requests_for
from sitewright.manager.repositories.models import PullRequest
from sitewright.manager.repositories.present import connection_out, delivery_out, preview_out
from sitewright.manager.repositories.schemas import (
    AllowIn,
    ConnectionIn,
    ConnectionOut,
    DeliveryList,
    DeliveryOut,
    PreviewList,
    PreviewsIn,
)
from sitewright.manager.sites.access import site_for
from sitewright.manager.sites.models import Site

router = Router(tags=["repositories"])


@router.get("/{name}/connection", response=ConnectionOut, operation_id="getConnection")
def get_connection(request: HttpRequest, name: str) -> ConnectionOut:
    """Which repository the site takes its code from. 404 when none."""
    user = person(request)
    return connection_out(user, services.connection_of(site_for(user, name)))


@router.put("/{name}/connection", response=ConnectionOut, operation_id="connectSite")
def connect_site(request: HttpRequest, name: str, body: ConnectionIn) -> ConnectionOut:
    """Connect the site with a repository, or change the connection, and fetch. The web hook's secret is in this answer only."""
    user = person(request)
    wanted = services.Wanted(**body.dict())
    made = services.connect(user, services.site_to_connect(user, name), wanted)
    return connection_out(user, made.connection, made.operation, made.secret)


@router.delete("/{name}/connection", response={204: None}, operation_id="disconnectSite")
def disconnect_site(request: HttpRequest, name: str) -> Status[None]:
    """Forget the connection and its secrets; the site and its code stay."""
    user = person(request)
    services.disconnect(user, services.site_to_connect(user, name))
    return Status(204, None)


@router.post("/{name}/connection/fetch", response={202: Accepted}, operation_id="fetchConnection")
def fetch_connection(request: HttpRequest, name: str) -> Status[Accepted]:
    """Fetch now; what differs from what visitors get is deployed."""
    user = person(request)
    return Status(202, Accepted(operation=operation_out(services.fetch(user, site_for(user, name, Role.DEVELOPER)))))


@router.get("/{name}/deliveries", response=DeliveryList, operation_id="listDeliveries")
def list_deliveries(request: HttpRequest, name: str, cursor: str = "", limit: int = USUAL) -> DeliveryList:
    """What the web hook has brought in the last 30 days, newest first."""
    user = person(request)
    rows = deliveries_for(user).filter(connection__site=site_for(user, name, Role.DEVELOPER))
    items, following = page(rows, ("-received_at", "-id"), cursor, limit)
    return DeliveryList(items=[delivery_out(row) for row in items], next=following)


@router.post("/{name}/deliveries/{delivery_id}/redeliver", response={202: DeliveryOut}, operation_id="redeliver")
def redeliver(request: HttpRequest, name: str, delivery_id: str) -> Status[DeliveryOut]:
    """Act upon it once more, as a new line of the log."""
    user = person(request)
    site = site_for(user, name, Role.DEVELOPER)
    row = deliveries_for(user).filter(connection__site=site, id=delivery_id).first() if is_id(delivery_id) else None
    if row is None:
        raise NotFoundError("There is no such delivery.")
    return Status(202, delivery_out(deliveries.again(user, row)))


@router.get("/{name}/previews", response=PreviewList, operation_id="listPreviews")
def list_previews(request: HttpRequest, name: str, cursor: str = "", limit: int = USUAL, state: str = "open") -> PreviewList:
    """Pull requests and branches with their previews, newest first; `state=` shows closed ones too."""
    user = person(request)
    site = site_for(user, name)
    rows = pull_requests_for(user).filter(site=site).select_related("allowed_by")
    found, following = page(rows.filter(state=state) if state else rows, ("-changed_at", "-id"), cursor, limit)
    items = [preview_out(row) for row in found]
    return PreviewList(items=items, next=following, makes=Previews(site.previews), days=site.preview_days)


@router.patch("/{name}/previews", response=PreviewList, operation_id="setPreviews")
def set_previews(request: HttpRequest, name: str, body: PreviewsIn) -> PreviewList:
    """Of what previews are made, and for how long they stay. Those that are there stay."""
    user = person(request)
    site = site_for(user, name, Role.DEVELOPER)
    fields = {key: value for key, value in (("previews", body.makes and body.makes.value), ("preview_days", body.days)) if value}
    Site.objects.filter(id=site.id).update(**fields)
    trail(user, "previews.set", site.id, site.name, **fields)
    return list_previews(request, name)


@router.post("/{name}/previews/{preview_id}/allow", response={202: Accepted}, operation_id="allowPreview")
def allow_preview(request: HttpRequest, name: str, preview_id: str, body: AllowIn | None = None) -> Status[Accepted]:
    """Let this very commit of a fork's pull request be built and shown; it never gets secrets, and a later commit waits again. Say which
    `commit` you have looked at."""
    user = person(request)
    operation = previews.allow(user, _preview(user, name, preview_id), body.commit if body else "")
    return Status(202, Accepted(operation=operation_out(operation)))


@router.post("/{name}/previews/{preview_id}/close", response={202: Accepted}, operation_id="closePreview")
def close_preview(request: HttpRequest, name: str, preview_id: str) -> Status[Accepted]:
    """Remove a preview; the pull request or branch stays. The next commit makes it again."""
    user = person(request)
    return Status(202, Accepted(operation=operation_out(previews.close_by_hand(user, _preview(user, name, preview_id)))))


def _preview(user: User, name: str, preview_id: str) -> PullRequest:
    site = site_for(user, name, Role.DEVELOPER)
    row = pull_requests_for(user, Role.DEVELOPER).filter(site=site, id=preview_id).first() if is_id(preview_id) else None
    if row is None:
        raise NotFoundError("There is no such preview.")
    return row
