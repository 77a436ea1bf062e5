"""Deleting a site: first nothing runs and no file is left, then the rows go."""

from __future__ import annotations

from sitewright.domain.operation import OperationKind
from sitewright.errors import ConflictError
from sitewright.manager.audit.services import trail
from sitewright.manager.operations.handlers import Context, Done, Outcome, StepPlan, Wait
from sitewright.manager.operations.kinds.burial import bury, still_there
from sitewright.manager.operations.models import Operation
from sitewright.manager.sites import desired
from sitewright.manager.sites.models import Channel, RemovedChannel, Site


class Delete:
    """Its name is free again afterwards; its number never is."""

    kind = OperationKind.DELETE

    def __init__(self) -> None:
        self.steps = (
            StepPlan("remove", "Stop the site and delete its files", self._remove),
            StepPlan("forget", "Free its name", self._forget),
        )

    def _remove(self, context: Context) -> Outcome:
        channels = list(Channel.objects.filter(site_id=context.operation.site_id).select_related("site"))
        if "told" not in context.found():
            with context.fenced():
                for channel in channels:
                    desired.change(channel, power="off")
                    bury(channel)
                context.remember(told=True)
        left = [tomb for channel in channels if (tomb := RemovedChannel.objects.get(id=channel.id)) and still_there(tomb)]
        return Wait(1.0, "Waiting until nothing of it runs.") if left else Done()

    def _forget(self, context: Context) -> Outcome:
        with context.fenced():
            site = Site.objects.filter(id=context.operation.site_id).first()
            if site is not None:
                trail(context.operation.created_by, "site.deleted", site.id, site.name)
                site.delete()
            context.operation.site_id = None
        return Done()

    def undo(self, context: Context, reason: str) -> None:  # noqa: ARG002 - the contract
        """What is deleted is deleted; the site stays in the list, and can be deployed or deleted again."""
        with context.fenced():
            living = Channel.objects.filter(site_id=context.operation.site_id)
            RemovedChannel.objects.filter(id__in=living.values("id")).delete()

    def check_cancel(self, operation: Operation) -> None:
        """Too late once the node was told."""
        if operation.params.get("found", {}).get("remove"):
            raise ConflictError("It is too late: files are being deleted.")
