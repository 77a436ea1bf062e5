"""Renaming a site: its name and its default address change together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError

from sitewright.domain.events import EventKind
from sitewright.domain.operation import OperationKind
from sitewright.errors import ConflictError
from sitewright.manager.audit.services import happened
from sitewright.manager.domains.services import move_default_route
from sitewright.manager.operations.handlers import Context, Done, Outcome, StepPlan
from sitewright.manager.operations.kinds.rollout import put_back, roll_out
from sitewright.manager.operations.models import Operation
from sitewright.manager.sites.models import Channel, Site


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
            old = context.found()["extra"]["old"]
            happened(context.operation, EventKind.RENAMED, f"The site “{old}” is “{new}” now.")
        return outcome

    def undo(self, context: Context, reason: str) -> None:  # noqa: ARG002 - the contract
        """The old name and address."""
        put_back(context, lambda channel, before: _move_back(channel, str(before["old"])))

    def check_cancel(self, operation: Operation) -> None:
        """Always possible."""


def _move(channel: Channel, new: str) -> Mapping[str, Any]:
    old = channel.site.name
    Site.objects.filter(id=channel.site_id).update(name=new)
    move_default_route(channel, new)
    return {"old": old}


def _move_back(channel: Channel, old: str) -> None:
    _move(channel, old)
