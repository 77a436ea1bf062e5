"""Returning to a release of before: it is still on its node, so nothing is built."""

from __future__ import annotations

from sitewright.domain.events import EventKind
from sitewright.domain.operation import OperationKind
from sitewright.domain.states import Power
from sitewright.manager.audit.services import happened
from sitewright.manager.operations.handlers import Context, Done, Outcome, StepPlan
from sitewright.manager.operations.kinds.rollout import channel_of, put_back, roll_out
from sitewright.manager.operations.models import Operation
from sitewright.manager.releases.models import Release
from sitewright.manager.releases.returning import release_to_return_to, went_live


class Rollback:
    """The release that was asked for, or the one before the present."""

    kind = OperationKind.ROLLBACK

    def __init__(self) -> None:
        self.steps = (StepPlan("rollout", "Return to the release", self._return),)

    def _return(self, context: Context) -> Outcome:
        if "release" not in context.found():
            target = release_to_return_to(channel_of(context), context.params.get("release"))
            context.remember(release=target.id)
        release = Release.objects.get(id=context.found()["release"])
        outcome = roll_out(context, {"release_id": release.id, "power": Power.ON.value, "commit": release.commit})
        if isinstance(outcome, Done):
            went_live(release)
            happened(context.operation, EventKind.ROLLED_BACK, f"Returned to release {release.number}{_why(context)}.")
            return Done(f"Release {release.number}")
        return outcome

    def undo(self, context: Context, reason: str) -> None:
        """The release that was live goes on."""
        said = channel_of(context).problem.partition("\n")[0]
        why = reason if context.operation.cancel_asked or not said else said
        put_back(context)
        happened(context.operation, EventKind.CHANGE_FAILED, f"The site did not return to the other release; it runs as before. {why}")

    def check_cancel(self, operation: Operation) -> None:
        """Always possible."""


def _why(context: Context) -> str:
    """`: it was too loud`, as the end of a sentence; "" when nobody said."""
    said = str(context.params.get("why") or "").rstrip(".")
    return f": {said}" if said else ""
