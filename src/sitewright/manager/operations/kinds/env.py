"""Changing environment variables. Values travel sealed: the operation's row never holds one in the clear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sitewright.domain.events import EventKind
from sitewright.domain.operation import OperationKind
from sitewright.manager.audit.services import happened
from sitewright.manager.operations.handlers import Context, Done, Outcome, StepPlan
from sitewright.manager.operations.kinds.rollout import channel_of, put_back, roll_out
from sitewright.manager.operations.models import Operation
from sitewright.manager.sites.models import Channel, EnvVar


class ChangeEnv:
    """Set and unset variables, then roll them out; what does not come up is put back."""

    kind = OperationKind.ENV

    def __init__(self) -> None:
        self.steps = (StepPlan("rollout", "Change the variables", self._change),)

    def _change(self, context: Context) -> Outcome:
        channel = channel_of(context)
        if channel.release_id is None:
            with context.fenced():
                _write(channel, context.params["set"], context.params["unset"])
            return self._done(context, "They are used from the first deploy on.")
        outcome = roll_out(context, {}, lambda row: _apply(row, context.params))
        return self._done(context, "") if isinstance(outcome, Done) else outcome

    @staticmethod
    def _done(context: Context, detail: str) -> Done:
        names = sorted([*context.params["set"], *context.params["unset"]])
        happened(context.operation, EventKind.ENV_CHANGED, f"Variables were changed: {', '.join(names)}.")
        return Done(detail)

    def undo(self, context: Context, reason: str) -> None:  # noqa: ARG002 - the contract
        """The variables as they were."""
        put_back(context, lambda channel, before: _write(channel, before["set"], before["unset"]))

    def check_cancel(self, operation: Operation) -> None:
        """Always possible."""


def _apply(channel: Channel, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write the change; what would undo it."""
    names = [*params["set"], *params["unset"]]
    old = {var.name: {"sealed": var.sealed, "secret": var.secret} for var in channel.variables.filter(name__in=names)}
    _write(channel, params["set"], params["unset"])
    return {"set": old, "unset": [name for name in names if name not in old]}


def _write(channel: Channel, wanted: Mapping[str, Mapping[str, Any]], unset: list[str]) -> None:
    channel.variables.filter(name__in=unset).delete()
    for name, value in wanted.items():
        EnvVar.objects.update_or_create(channel=channel, name=name, defaults={"sealed": value["sealed"], "secret": value["secret"]})
