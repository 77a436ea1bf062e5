"""Which operations wait for which. Every operation is in one lane: its channel's, its site's, or that of fetching for its site.

=========================  ======================================  ==========================================
lane                       which operations                        what they wait for and keep out
=========================  ======================================  ==========================================
id of the channel          everything about one channel            others of the channel, those of the site
id of the site             create, rename, delete                  everything of the site
`fetch-` and the site's    SYNC: fetching a connected repository   others that fetch, those of the site
=========================  ======================================  ==========================================

The database itself refuses two active operations in one lane; that a whole site's keeps all its channels' out is looked at under the lock
of the site's row, which whoever claims takes (sitewright.manager.operations.claims).
"""

from __future__ import annotations

from django.db.models import F, OuterRef, Q, QuerySet

from sitewright.domain.operation import OperationKind
from sitewright.manager.operations.models import Operation
from sitewright.manager.sites.models import Channel, Site

WHOLE_SITE = frozenset({OperationKind.CREATE, OperationKind.RENAME, OperationKind.DELETE})


def lane_of(kind: OperationKind, site: Site, channel: Channel | None) -> str:
    """The lane of such an operation; *channel* None is the site's production, unless it is about the whole site."""
    if kind is OperationKind.SYNC:
        return f"fetch-{site.id}"
    return str(site.id if channel is None else channel.id)


def in_the_way() -> QuerySet[Operation]:
    """The operations that an outer query's operation waits for, whatever their state: those of its lane, and, when one of the two is about
    the whole site, all of the site."""
    rows = Operation.objects.filter(site=OuterRef("site"))
    return rows.filter(Q(lane=OuterRef("lane")) | Q(lane=F("site_id")) | Q(site_id=OuterRef("lane")))


def others_in_the_way(operation: Operation) -> QuerySet[Operation]:
    """The same for one operation."""
    rows = Operation.objects.filter(site_id=operation.site_id).exclude(id=operation.id)
    if operation.lane == operation.site_id:
        return rows
    return rows.filter(lane__in=[operation.lane, operation.site_id])
