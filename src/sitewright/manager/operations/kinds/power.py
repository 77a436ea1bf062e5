"""Start, stop, restart."""

from __future__ import annotations

from sitewright.domain.events import EventKind
from sitewright.domain.operation import OperationKind
from sitewright.domain.states import Power
from sitewright.errors import ConflictError
from sitewright.manager.audit.services import happened
from sitewright.manager.operations.handlers import Context, Done, Outcome, StepPlan
from sitewright.manager.operations.kinds.rollout import channel_of, put_back, roll_out
from sitewright.manager.operations.models import Operation


def _released(context: Context) -> None:
    if channel_of(context).release_id is None:
        raise ConflictError("Nothing was deployed to this site yet.", resolution="Deploy it first; it then starts by itself.")


class _Power:
    """What the three have in common."""

    def undo(self, context: Context, reason: str) -> None:  # noqa: ARG002 - the contract
        """Want what was wanted before."""
        put_back(context)

    def check_cancel(self, operation: Operation) -> None:
        """Always possible."""


class Start(_Power):
    """Let it run."""

    kind = OperationKind.START

    def __init__(self) -> None:
        self.steps = (StepPlan("rollout", "Start the site", self._start),)

    def _start(self, context: Context) -> Outcome:
        _released(context)
        outcome = roll_out(context, {"power": Power.ON.value})
        if isinstance(outcome, Done):
            happened(context.operation, EventKind.STARTED, "The site was started.")
        return outcome


class Stop(_Power):
    """Let nothing of it run."""

    kind = OperationKind.STOP

    def __init__(self) -> None:
        self.steps = (StepPlan("rollout", "Stop the site", self._stop),)

    def _stop(self, context: Context) -> Outcome:
        outcome = roll_out(context, {"power": Power.OFF.value})
        if isinstance(outcome, Done):
            happened(context.operation, EventKind.STOPPED, "The site was stopped.")
        return outcome


class Restart(_Power):
    """New instances, then the old ones end."""

    kind = OperationKind.RESTART

    def __init__(self) -> None:
        self.steps = (StepPlan("rollout", "Restart the site", self._restart),)

    def _restart(self, context: Context) -> Outcome:
        _released(context)
        outcome = roll_out(context, {"power": Power.ON.value, "restart": channel_of(context).restart + 1})
        if isinstance(outcome, Done):
            happened(context.operation, EventKind.RESTARTED, "The site was restarted.")
        return outcome
