"""A release on trial: putting it there, letting it take over, taking it out.

Its node judges it and may take it out by itself at any time; then the manager forgets it (sitewright.manager.sites.reports), and whoever
was waiting for it is told why.
"""

from __future__ import annotations

from typing import Any

from sitewright.domain.desired import CanaryState
from sitewright.domain.events import EventKind
from sitewright.domain.operation import OperationKind
from sitewright.domain.route import SLOTS
from sitewright.domain.states import Power
from sitewright.errors import ConflictError
from sitewright.manager.audit.services import happened
from sitewright.manager.operations.handlers import Context, Done, Outcome, StepPlan
from sitewright.manager.operations.kinds.rollout import RolloutError, awaited, channel_of, decide, put_back, roll_out, told
from sitewright.manager.operations.models import Operation
from sitewright.manager.releases.models import Release, Trial
from sitewright.manager.releases.returning import can_try, judged, went_live
from sitewright.manager.sites.blueprints import blueprint_of
from sitewright.manager.sites.models import Channel

NO_TRIAL: dict[str, Any] = {"canary_release_id": None, "canary_slots": 0}


def share(slots: int) -> str:
    """`12.5 %`."""
    return f"{slots / SLOTS * 100:g} %"


def put_on_trial(context: Context, release: Release, slots: int) -> Outcome:
    """Give *release* its slots beside the channel's own; Done when it serves. Raises RolloutError when its node takes it out."""
    channel = channel_of(context)
    if "generation" not in context.found():
        can_try(channel)
        if blueprint_of(release.blueprint).process("web") is None:
            raise ConflictError("The new release has no web process, so it cannot be tried.", resolution="Deploy it without a trial.")
        wanted = {"canary_release_id": release.id, "canary_slots": slots}
        decide(context, channel, wanted, lambda row: _begun(row, release))
    generation = told(context, channel)
    report = channel.canary_report or {}
    mine = report if report.get("release_id") == release.id else {}
    if mine.get("state") == CanaryState.ABORTED.value:
        first, _, more = mine.get("reason", "").partition("\n")
        message = f"The new release was taken out of its trial. {first}".strip()
        raise RolloutError(message, details=more, resolution="Look at the logs, correct it, and try again.")
    if channel.canary_release_id != release.id:
        raise RolloutError("The trial was ended meanwhile.")
    if channel.observed_generation >= generation and mine.get("state") == CanaryState.SERVING.value:
        return Done(f"Release {release.number} gets {share(slots)} of the requests.")
    return awaited(context, channel)


def _begun(channel: Channel, release: Release) -> dict[str, Any]:
    replaced(channel)
    judged(release.id, Trial.RUNNING)
    return {}


def replaced(channel: Channel) -> None:
    """Another release comes in the place of one on trial."""
    if channel.canary_release_id is not None:
        judged(channel.canary_release_id, Trial.ABORTED, "Another release came in its place.")


def take_back(context: Context, release_id: str, why: str) -> None:
    """The trial of this step did not begin: as it was before. What its node has said of it stays."""
    channel = channel_of(context)
    report = channel.canary_report or {}
    if report.get("release_id") == release_id and report.get("state") == CanaryState.ABORTED.value:
        why = report.get("reason") or why
    if channel.canary_release_id == release_id:
        put_back(context)
    if "generation" in context.found():
        judged(release_id, Trial.ABORTED, why)


def _on_trial(channel: Channel) -> Release:
    if channel.canary_release is None:
        raise ConflictError("No release is on trial.", resolution="Deploy one with a share of the visitors first.")
    return channel.canary_release


class Promote:
    """The release on trial becomes the channel's; its instances go on, the others leave."""

    kind = OperationKind.PROMOTE

    def __init__(self) -> None:
        self.steps = (StepPlan("rollout", "Give it all visitors", self._promote),)

    def _promote(self, context: Context) -> Outcome:
        if "generation" not in context.found():
            channel = channel_of(context)
            release = _on_trial(channel)
            decide(context, channel, {**NO_TRIAL, "release_id": release.id, "power": Power.ON.value, "commit": release.commit})
        outcome = roll_out(context, {})
        if isinstance(outcome, Done):
            release = Release.objects.get(id=context.found()["before"]["canary_release_id"])
            judged(release.id, Trial.PROMOTED)
            went_live(release)
            happened(context.operation, EventKind.CANARY_PROMOTED, f"Release {release.number} passed its trial and is live.")
            return Done(f"Release {release.number}")
        return outcome

    def undo(self, context: Context, reason: str) -> None:
        """It is on trial again."""
        put_back(context)
        happened(context.operation, EventKind.CHANGE_FAILED, f"The release on trial did not take over; all is as before. {reason}")

    def check_cancel(self, operation: Operation) -> None:
        """Always possible."""


class Abort:
    """The release on trial goes; all visitors get the channel's own."""

    kind = OperationKind.ABORT

    def __init__(self) -> None:
        self.steps = (StepPlan("rollout", "Take the release on trial out", self._abort),)

    def _abort(self, context: Context) -> Outcome:
        if "generation" not in context.found():
            channel = channel_of(context)
            _on_trial(channel)
            decide(context, channel, NO_TRIAL)
        outcome = roll_out(context, {})
        if isinstance(outcome, Done):
            release = Release.objects.get(id=context.found()["before"]["canary_release_id"])
            who = context.operation.created_by.email if context.operation.created_by else "the platform"
            judged(release.id, Trial.ABORTED, f"Taken out by {who}.")
            happened(context.operation, EventKind.CANARY_ABORTED, f"Release {release.number} was taken out; visitors get the one before.")
        return outcome

    def undo(self, context: Context, reason: str) -> None:
        """What was asked for stays wanted: a trial that somebody ended does not begin again by itself."""
        happened(context.operation, EventKind.CHANGE_FAILED, f"Taking the release on trial out is not finished. {reason}")

    def check_cancel(self, operation: Operation) -> None:
        """Always possible."""
