"""The step that all changes end with: say what is wanted, tell the node, wait until it is so, or put back what was wanted before."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from sitewright.errors import SitewrightError
from sitewright.manager.operations.handlers import Context, Done, Outcome, Wait
from sitewright.manager.sites import desired
from sitewright.manager.sites.models import Channel

log = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 2.0


class RolloutError(SitewrightError):
    """The new version did not come up; what ran before keeps running."""

    code = "rollout_failed"


def channel_of(context: Context) -> Channel:
    """The production channel of the operation's site. Raises SitewrightError when the site is gone."""
    channel = Channel.objects.select_related("site", "release").filter(site_id=context.operation.site_id, name="production").first()
    if channel is None:
        raise SitewrightError("The site is gone.")
    return channel


def roll_out(context: Context, wanted: Mapping[str, Any], alongside: Callable[[Channel], Mapping[str, Any]] | None = None) -> Outcome:
    """Make *wanted* (fields of Channel) so. *alongside* changes other rows in the same transaction; it answers what undoing needs."""
    channel = channel_of(context)
    if "generation" not in context.found():
        _decide(context, channel, wanted, alongside)
    generation: int = context.found()["generation"]
    if channel.observed_generation < generation:
        desired.push(channel.id)
        channel.refresh_from_db()
    if channel.applied >= generation:
        return Done()
    if channel.problem and channel.observed_generation >= generation:
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


def _decide(
    context: Context, channel: Channel, wanted: Mapping[str, Any], alongside: Callable[[Channel], Mapping[str, Any]] | None
) -> None:
    before = {name: getattr(channel, name) for name in wanted}
    with context.fenced():
        extra = dict(alongside(channel)) if alongside else {}
        generation = desired.change(channel, **wanted)
        context.remember(generation=generation, before=before, extra=extra)


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
