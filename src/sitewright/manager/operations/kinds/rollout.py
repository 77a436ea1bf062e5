"""The step that all changes end with: say what is wanted, tell the node, wait until it is so, or put back what was wanted before."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from sitewright.domain.channel import PRODUCTION
from sitewright.domain.states import Power
from sitewright.errors import SitewrightError
from sitewright.manager.operations.handlers import Context, Done, Outcome, Wait
from sitewright.manager.sites import desired
from sitewright.manager.sites.models import Channel
from sitewright.manager.teams.models import Team
from sitewright.manager.teams.services import check_room

log = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 2.0


class RolloutError(SitewrightError):
    """The new version did not come up; what ran before keeps running."""

    code = "rollout_failed"


def channel_of(context: Context) -> Channel:
    """The operation's channel; production when it is about the whole site. Raises SitewrightError when it is gone."""
    operation = context.operation
    # Each table that is joined costs as much as the rest of the question; what is seldom there is asked for when it is.
    rows = Channel.objects.select_related("site__team", "release").filter(site_id=operation.site_id)
    whole = operation.lane == operation.site_id
    channel = rows.filter(name=PRODUCTION).first() if whole else rows.filter(id=operation.lane).first()
    if channel is None:
        raise SitewrightError("The site is gone." if whole else "The channel is gone.")
    return channel


def roll_out(context: Context, wanted: Mapping[str, Any], alongside: Callable[[Channel], Mapping[str, Any]] | None = None) -> Outcome:
    """Make *wanted* (fields of Channel) so. *alongside* changes other rows in the same transaction; it answers what undoing needs."""
    channel = channel_of(context)
    if "generation" not in context.found():
        decide(context, channel, wanted, alongside)
    generation = told(context, channel)
    if channel.applied >= generation:
        return Done()
    return awaited(context, channel)


def told(context: Context, channel: Channel) -> int:
    """The generation that this step has decided on; its node knows of it."""
    generation: int = context.found()["generation"]
    if channel.observed_generation < generation:
        desired.push(channel.id)
        channel.refresh_from_db()
    return generation


def awaited(context: Context, channel: Channel) -> Outcome:
    """Wait for the node, unless it has a problem that stays: then RolloutError."""
    if channel.problem and channel.observed_generation >= context.found()["generation"]:
        return _doubt(context, channel.problem)
    return Wait(LOOK_AGAIN_SECONDS, "Waiting until it answers.")


def _doubt(context: Context, problem: str) -> Outcome:
    """A problem counts when it is still there at the next look: the first may be left over from the generation before."""
    since = context.found().get("problem_since")
    if since is None:
        context.remember(problem_since=context.clock.now())
    elif context.clock.now() - since >= LOOK_AGAIN_SECONDS:
        raise RolloutError(details=problem, resolution="Look at the logs, correct it, and try again.")
    return Wait(LOOK_AGAIN_SECONDS, problem.splitlines()[0])


def decide(
    context: Context, channel: Channel, wanted: Mapping[str, Any], alongside: Callable[[Channel], Mapping[str, Any]] | None = None
) -> None:
    """Write down what is wanted from now on, and what was before. Raises QuotaError when the team has no room for it."""
    before = {name: getattr(channel, name) for name in wanted}
    taken = _memory(channel)
    with context.fenced():
        extra = dict(alongside(channel)) if alongside else {}
        generation = desired.change(channel, **wanted)
        if _memory(channel) > taken:
            Team.objects.select_for_update().get(pk=channel.site.team_id)
            check_room(channel.site.team)
        context.remember(generation=generation, before=before, extra=extra)


def _memory(channel: Channel) -> int:
    return channel.wanted_memory_bytes if channel.power == Power.ON.value else 0


def record(context: Context, **fields: Any) -> bool:
    """Change a channel that nothing was deployed to: no node has to know. False when something was."""
    channel = channel_of(context)
    if channel.release_id is not None:
        return False
    with context.fenced():
        Channel.objects.filter(id=channel.id).update(**fields)
    return True


def put_back(context: Context, alongside: Callable[[Channel, Mapping[str, Any]], None] | None = None) -> None:
    """Want again what was wanted before this step. The node is told at once if it can be reached, else by the next comparison."""
    found = context.found()
    if "generation" not in found or "put_back" in found:
        return
    channel = channel_of(context)
    with context.fenced():
        if alongside:
            alongside(channel, found["extra"])
        generation = desired.change(channel, **found["before"])
        context.remember(put_back=generation)
    try:
        desired.push(channel.id)
    except SitewrightError:
        log.warning("operation.put_back_untold", extra={"operation": context.operation.id, "channel": channel.id})
