"""A changed plan reaches its sites: some channels at a time, each by a new generation, until none is left that follows from the old one.

Nothing is lost when this is cut off: the plan says that it is spreading until every channel has its stamp.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import Q, QuerySet

from sitewright.errors import ConflictError
from sitewright.manager.sites import desired
from sitewright.manager.sites.models import Channel
from sitewright.manager.teams.models import Plan
from sitewright.manager.teams.plans import allowance_of

AT_A_TIME = 100


def _behind(plan: Plan) -> QuerySet[Channel]:
    """The channels that follow from another plan, or from an older revision of this one."""
    of_plan = Q(site__team__plan=plan) | Q(site__team__plan=None) if plan.is_default else Q(site__team__plan=plan)
    rows = Channel.objects.filter(of_plan, generation__gt=0).exclude(plan_stamp=allowance_of(plan).stamp)
    return rows.select_related("site__team", "release", "canary_release")


def spread(at_a_time: int = AT_A_TIME) -> list[str]:
    """Do a bounded part of the work; ids of the channels of which nodes have to be told. [] when there is nothing to do."""
    for plan in Plan.objects.filter(spreading=True):
        rows = list(_behind(plan).order_by("id")[:at_a_time])
        if rows:
            return [channel.id for channel in rows if _follow(channel)]
        _finish(plan)
    return []


def _finish(plan: Plan) -> None:
    """Under the plan's lock, which whoever gives it to another team takes too: nobody's wish falls between looking and writing."""
    with transaction.atomic():
        locked = Plan.objects.select_for_update().get(pk=plan.pk)
        if not _behind(locked).exists():
            Plan.objects.filter(pk=plan.pk).update(spreading=False)


def _follow(channel: Channel) -> bool:
    try:
        desired.change(channel)
    except ConflictError:
        return False
    return True
