"""/metrics for Prometheus. Counted from rows when asked, so it costs nothing between two scrapes.

Only for an administrator's token: the router passes everybody on, so an address proves nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.db.models import Count
from django.http import HttpRequest, HttpResponse

from sitewright.manager.accounts.services import token_of
from sitewright.manager.operations.models import Operation
from sitewright.manager.releases.models import Build
from sitewright.manager.runtime import runtime
from sitewright.manager.sites.models import Instance, Node, Site

if TYPE_CHECKING:
    from prometheus_client.core import Metric


def metrics(request: HttpRequest) -> HttpResponse:
    """The figures in Prometheus's text format; 401 without an administrator's token."""
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    token = token_of(text.strip()) if kind.lower() == "bearer" else None
    if token is None or not token.user.is_staff:
        return HttpResponse(
            "An administrator's token is needed.\n", status=401, content_type="text/plain", headers={"WWW-Authenticate": "Bearer"}
        )
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest  # noqa: PLC0415 - only for who scrapes

    registry = CollectorRegistry()
    registry.register(_Rows())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _Rows:
    def collect(self) -> Iterable[Metric]:
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

        yield GaugeMetricFamily("sitewright_sites", "Sites.", value=Site.objects.count())
        for name, what, rows in (
            ("sitewright_operations", "Operations by kind and state.", Operation.objects.values_list("kind", "state")),
            ("sitewright_instances", "Instances by process type and state.", Instance.objects.values_list("process", "state")),
        ):
            family = GaugeMetricFamily(name, what, labels=["kind", "state"])
            for kind, state, count in rows.annotate(count=Count("pk")).order_by():
                family.add_metric([kind, state], count)
            yield family
        builds = GaugeMetricFamily("sitewright_builds", "Builds by state.", labels=["state"])
        for state, count in Build.objects.values_list("state").annotate(count=Count("pk")).order_by():
            builds.add_metric([state], count)
        yield builds
        yield from self._process()

    def _process(self) -> Iterable[Metric]:
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

        now = runtime().clock.now()
        age = GaugeMetricFamily("sitewright_node_heartbeat_age_seconds", "Seconds since a node last spoke.", labels=["node"])
        used = GaugeMetricFamily("sitewright_node_memory_used_bytes", "Memory in use on a node.", labels=["node"])
        for node in Node.objects.all():
            age.add_metric([node.name], max(now - node.seen_at.timestamp(), 0))
            used.add_metric([node.name], node.memory_used)
        yield age
        yield used
        bus = runtime().bus
        yield GaugeMetricFamily("sitewright_bus_connected", "1 when the bus is there.", value=int(bus is not None and bus.connected))
        yield GaugeMetricFamily("sitewright_manager_threads", "Threads of the manager.", value=threading.active_count())
