"""Changing how a site runs: how many copies, what each may use, when it sleeps, which visitors stay with which copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sitewright.domain.events import EventKind
from sitewright.domain.operation import OperationKind
from sitewright.manager.audit.services import happened
from sitewright.manager.operations.handlers import Context, Done, Outcome, StepPlan
from sitewright.manager.operations.kinds.rollout import channel_of, put_back, record, roll_out
from sitewright.manager.operations.models import Operation
from sitewright.manager.sites import scale
from sitewright.manager.sites.settled import in_words
from sitewright.manager.teams.plans import allowance_for

LATER = "It holds from the first deploy on."


class _Change:
    """What the two have in common: what does not come up is put back."""

    what = ""

    def undo(self, context: Context, reason: str) -> None:
        """As it was before."""
        said = channel_of(context).problem.partition("\n")[0]
        why = reason if context.operation.cancel_asked or not said else said
        put_back(context)
        happened(context.operation, EventKind.CHANGE_FAILED, f"{self.what} {why}")

    def check_cancel(self, operation: Operation) -> None:
        """Always possible."""


class Scale(_Change):
    """More or fewer copies, more or less for each."""

    kind = OperationKind.SCALE
    what = "The site was not scaled; it runs as before."

    def __init__(self) -> None:
        self.steps = (StepPlan("rollout", "Scale the site", self._scale),)

    def _scale(self, context: Context) -> Outcome:
        channel = channel_of(context)
        if "generation" not in context.found():
            # Checked again: another release or plan may have come since it was asked for.
            wanted = scale.merged(channel, context.params["processes"], allowance_for(channel.site.team))
            outcome = roll_out(context, {"scale": wanted})
        else:
            outcome = roll_out(context, {})
        if isinstance(outcome, Done):
            happened(context.operation, EventKind.SCALED, f"Scaled: {_said(context.params['processes'])}.")
        return outcome


def _said(processes: Mapping[str, Mapping[str, Any]]) -> str:
    """`web 3 copies, 128 MB each; worker 1 copy`."""
    return "; ".join(f"{name} {_one(change)}" for name, change in sorted(processes.items()))


def _one(change: Mapping[str, Any]) -> str:
    parts = []
    if change.get("count") is not None:
        parts.append(f"{change['count']} {'copy' if change['count'] == 1 else 'copies'}")
    if "memory_mb" in change:
        parts.append(f"{change['memory_mb']} MB each" if change["memory_mb"] else "the plan's memory")
    if "cpu_millicores" in change:
        millicores = change["cpu_millicores"]
        parts.append(f"{millicores / 1000:g} processors each" if millicores else "the plan's processors")
    return ", ".join(parts) or "as the plan has it"


class Configure(_Change):
    """Sleep, affinity, strategy, what visitors may ask for."""

    kind = OperationKind.CONFIGURE
    what = "The settings were not changed; the site runs as before."

    def __init__(self) -> None:
        self.steps = (StepPlan("rollout", "Change the settings", self._configure),)

    def _configure(self, context: Context) -> Outcome:
        fields = context.params["fields"]
        if record(context, **fields):
            return self._done(context, LATER)
        outcome = roll_out(context, fields)
        return self._done(context, "") if isinstance(outcome, Done) else outcome

    @staticmethod
    def _done(context: Context, detail: str) -> Done:
        happened(context.operation, EventKind.CONFIGURED, f"Settings: {in_words(context.params['fields'])}.")
        return Done(detail)
