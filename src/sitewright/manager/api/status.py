"""/status: how the platform is."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from ninja import Router, Schema

from sitewright import __version__
from sitewright.manager.api.auth import person
from sitewright.manager.health import Check, checks
from sitewright.manager.sites.access import for_user
from sitewright.manager.sites.models import Node
from sitewright.manager.sites.reports import heartbeat_age
from sitewright.manager.sites.state import count_states

router = Router(tags=["platform"])


class CheckOut(Schema):
    """One thing that must work."""

    name: str
    ok: bool
    note: str


class NodeOut(Schema):
    """A node as it last spoke; ``heartbeat_age`` in seconds."""

    name: str
    engine: str
    version: str
    heartbeat_age: float | None
    memory_total: int
    memory_used: int


class StatusOut(Schema):
    """The platform, and how many of your sites are in which state."""

    version: str
    url: str
    ok: bool
    checks: list[CheckOut]
    nodes: list[NodeOut]
    sites: dict[str, int]


@router.get("/status", response=StatusOut, operation_id="getStatus")
def get_status(request: HttpRequest) -> StatusOut:
    """How the platform and your sites are."""
    found = checks()
    counts = {state.value: count for state, count in count_states(for_user(person(request))).items()}
    return StatusOut(
        version=__version__,
        url=settings.PLATFORM.url(settings.PLATFORM.manager_host),
        ok=all(check.ok for check in found),
        checks=[_check_out(check) for check in found],
        nodes=[_node_out(node) for node in Node.objects.order_by("name")],
        sites=counts,
    )


def _check_out(check: Check) -> CheckOut:
    return CheckOut(name=check.name, ok=check.ok, note=check.note)


def _node_out(node: Node) -> NodeOut:
    return NodeOut(
        name=node.name,
        engine=node.engine,
        version=node.version,
        heartbeat_age=heartbeat_age(node.name),
        memory_total=node.memory_total,
        memory_used=node.memory_used,
    )
