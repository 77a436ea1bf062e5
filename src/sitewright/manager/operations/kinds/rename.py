"""Renaming a site: its name and its default address change together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError
from django.db.models import QuerySet

from sitewright.domain.events import EventKind
from sitewright.domain.operation import OperationKind
from sitewright.errors import ConflictError
from sitewright.manager.audit.services import happened
from sitewright.manager.domains.services import move_default_route
from sitewright.manager.operations.handlers import Context, Done, Outcome, StepPlan
from sitewright.manager.operations.kinds.rollout import channel_of, put_back, roll_out
from sitewright.manager.operations.models import Operation
from sitewright.manager.sites import desired
from sitewright.manager.sites.models import Channel, Site
from sitewright.manager.sites.reports import push_soon


class Rename:
    """The new address answers before the old one is forgotten by the router, in one rename."""

    kind = OperationKind.RENAME

    def __init__(self) -> None:
        self.steps = (StepPlan("rollout", "Move the site to its new address", self._rename),)

    def _rename(self, context: Context) -> Outcome:
        new = str(context.params["name"])
        try:
            outcome = roll_out(context, {}, lambda channel: _move(channel, new))
        except IntegrityError as error:
            raise ConflictError(f"The name “{new}” was taken meanwhile.", resolution="Choose another name.") from error
        if isinstance(outcome, Done):
            push_soon(others(channel_of(context)).values_list("id", flat=True))
            old = context.found()["extra"]["old"]
            happened(context.operation, EventKind.RENAMED, f"The site “{old}” is “{new}” now.")
        return outcome

    def undo(self, context: Context, reason: str) -> None:  # noqa: ARG002 - the contract
        """The old name and address."""
        put_back(context, lambda channel, before: _move_back(channel, str(before["old"])))
        push_soon(others(channel_of(context)).values_list("id", flat=True))

    def check_cancel(self, operation: Operation) -> None:
        """Always possible."""


def _move(channel: Channel, new: str) -> Mapping[str, Any]:
    old = channel.site.name
    Site.objects.filter(id=channel.site_id).update(name=new)
    move_default_route(channel, new)
    for other in others(channel):
        move_default_route(other, new)
        if other.generation:
            desired.change(other)
    return {"old": old}


def others(channel: Channel) -> QuerySet[Channel]:
    """The site's other channels: their addresses follow its name, too. Their nodes hear of it at once if they can, else when they are
    compared with next."""
    rows = Channel.objects.filter(site_id=channel.site_id).exclude(id=channel.id)
    return rows.select_related("site__team", "release", "canary_release")


def _move_back(channel: Channel, old: str) -> None:
    _move(channel, old)
