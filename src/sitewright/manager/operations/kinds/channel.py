"""Changing a channel in a way that its node has to follow: whose data it uses, and taking it away."""

from __future__ import annotations

from sitewright.domain.events import EventKind
from sitewright.domain.operation import OperationKind
from sitewright.domain.states import Power
from sitewright.errors import ConflictError
from sitewright.manager.audit.services import happened, trail
from sitewright.manager.operations.handlers import Context, Done, Outcome, StepPlan, Wait
from sitewright.manager.operations.kinds.burial import bury, still_there
from sitewright.manager.operations.kinds.rollout import channel_of, put_back, record, roll_out
from sitewright.manager.operations.models import Operation
from sitewright.manager.sites import desired
from sitewright.manager.sites.models import Channel, RemovedChannel

REMOVE = "remove"


class ChangeChannel:
    """`data`: it uses another folder, so its instances are started anew. `remove`: nothing of it runs, then its files and rows go."""

    kind = OperationKind.CHANNEL

    def __init__(self) -> None:
        self.steps = (StepPlan("change", "Change the channel", self._change),)

    def _change(self, context: Context) -> Outcome:
        return self._remove(context) if context.params["what"] == REMOVE else self._share(context)

    @staticmethod
    def _share(context: Context) -> Outcome:
        channel, wanted = channel_of(context), context.params["data_of"]
        if not record(context, data_of_id=wanted):
            outcome = roll_out(context, {"data_of_id": wanted, "restart": channel.restart + 1})
            if not isinstance(outcome, Done):
                return outcome
        owner = Channel.objects.filter(id=wanted).first() if wanted else None
        told = f"uses the data of “{owner.name}”" if owner else "uses data of its own"
        happened(context.operation, EventKind.CHANNEL_CHANGED, f"The channel {told}.")
        return Done(told)

    @staticmethod
    def _remove(context: Context) -> Outcome:
        name = context.params["name"]
        channel = Channel.objects.filter(id=context.operation.lane).select_related("site__team").first()
        if channel is not None and "told" not in context.found():
            with context.fenced():
                if Channel.objects.filter(data_of=channel).exists():
                    raise ConflictError(
                        f"The data of “{name}” is used by another channel.", resolution="Give that one data of its own first."
                    )
                desired.change(channel, power=Power.OFF.value)
                bury(channel)
                context.remember(told=True)
        tomb = RemovedChannel.objects.filter(id=context.operation.lane).first()
        if tomb is not None and still_there(tomb):
            return Wait(1.0, "Waiting until nothing of it runs.")
        with context.fenced():
            Channel.objects.filter(id=context.operation.lane).delete()
            context.operation.channel = None
            happened(context.operation, EventKind.CHANNEL_REMOVED, f"The channel “{name}” was removed.")
            trail(context.operation.created_by, "channel.gone", context.operation.site_id or "", context.operation.site_name, channel=name)
        return Done()

    def undo(self, context: Context, reason: str) -> None:
        """The data of before. A channel that is being removed is kept, and can be deployed to or removed again."""
        if context.params["what"] != REMOVE:
            put_back(context)
        elif "told" in context.found():
            with context.fenced():
                RemovedChannel.objects.filter(id=context.operation.lane).delete()
        happened(context.operation, EventKind.CHANGE_FAILED, f"The channel was not changed. {reason}")

    def check_cancel(self, operation: Operation) -> None:
        """Too late once the node was told to delete files."""
        if operation.params.get("found", {}).get("change", {}).get("told"):
            raise ConflictError("It is too late: files are being deleted.")
