"""From rows to what the API shows."""

from __future__ import annotations

from sitewright.domain.states import Role
from sitewright.manager.accounts.models import User
from sitewright.manager.operations.models import Operation
from sitewright.manager.operations.schemas import operation_out
from sitewright.manager.repositories.access import for_user
from sitewright.manager.repositories.models import Connection, Delivery, PullRequest, Vendor
from sitewright.manager.repositories.places import channel_address, hook_address
from sitewright.manager.repositories.previews import waits
from sitewright.manager.repositories.schemas import ConnectionOut, DeliveryOut, HookOut, PreviewOut
from sitewright.manager.sites.models import Channel

EVENTS = {
    Vendor.GITHUB: ["push", "pull_request"],
    Vendor.GITLAB: ["Push events", "Tag push events", "Merge request events"],
    Vendor.GITEA: ["Push", "Delete", "Pull Request", "Pull Request Synchronized"],
    Vendor.PLAIN: ["push"],
}
"""What to choose over there when the web hook is made by hand."""


def connection_out(user: User, connection: Connection, operation: Operation | None = None, secret: str = "") -> ConnectionOut:
    """A connection; the web hook's address is for those who may work on the site."""
    works = for_user(user, Role.DEVELOPER).filter(id=connection.id).exists()
    vendor = Vendor(connection.vendor)
    branch = Channel.objects.filter(site_id=connection.site_id, name="production").values_list("branch", flat=True).first()
    hook = HookOut(url=hook_address(connection) if works else "", secret=secret, made=connection.hook_made, events=EVENTS[vendor])
    return ConnectionOut(
        url=connection.url,
        vendor=vendor,
        project=connection.project,
        api_url=connection.api_url,
        token=bool(connection.sealed_token),
        deploy_key=connection.deploy_key,
        known_hosts=connection.known_hosts,
        reports=connection.reports,
        branch=branch or "",
        hook=hook,
        fetched_at=connection.fetched_at,
        problem=connection.problem,
        operation=operation_out(operation) if operation is not None else None,
    )


def delivery_out(row: Delivery) -> DeliveryOut:
    """A line of the delivery log; bodies are not shown."""
    return DeliveryOut(
        id=row.id,
        delivery=row.delivery,
        event=row.event,
        summary=row.summary,
        outcome=row.outcome,
        detail=row.detail,
        operation=row.operation_id,
        again_of=row.again_of_id,
        received_at=row.received_at,
    )


def preview_out(row: PullRequest) -> PreviewOut:
    """A pull request or branch with its preview."""
    return PreviewOut(
        id=row.id,
        number=row.number,
        branch=row.branch,
        title=row.title,
        author=row.author,
        link=row.url,
        commit=row.head,
        fork=row.fork,
        waits=waits(row),
        allowed_by=row.allowed_by.email if row.allowed_by and row.allowed_head == row.head else "",
        state=row.state,
        channel=row.channel.name if row.channel else "",
        url=channel_address(row.channel),
        expires_at=row.channel.expires_at if row.channel else None,
        changed_at=row.changed_at,
    )
