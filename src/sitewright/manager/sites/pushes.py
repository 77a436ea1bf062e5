"""What becomes of a push. docs/explanation/channels.md has the same table.

=============================================  =========  ========================================================
what is pushed                                 verdict    why
=============================================  =========  ========================================================
anything, by somebody who may not deploy       refuse     their role
a tag, made, moved or deleted                  store      tags lead no visitors anywhere
a branch that no channel follows               store      and previewed, where the site's previews are switched on
a branch that a channel follows                deploy     an operation moves it when it is live
such a branch, deleted                         refuse     a channel without a branch would have no code
the same, forced, on a protected channel       refuse     what visitors get could then not be told from history
the same, on a frozen channel                  refuse     until when, why and by whom is told
the same, while a release is on trial          refuse     promote or abort it first
the same, on a live channel with edits         refuse     unless `-o publish|stash|overwrite` says what becomes of them
anything outside refs/heads and refs/tags      refuse     the platform keeps its own things there
=============================================  =========  ========================================================
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from sitewright.bus.messages import CommitSource, PushAsked, PushVerdict, RefVerdict
from sitewright.domain.events import EventKind, as_told
from sitewright.domain.git import BRANCHES, TAGS, PushAction, RefUpdate, WhenEdited
from sitewright.domain.operation import OperationKind
from sitewright.domain.states import Mode, Role
from sitewright.errors import ConflictError, SitewrightError
from sitewright.manager.accounts.models import User
from sitewright.manager.audit.services import happened, noted, trail
from sitewright.manager.operations.models import Operation
from sitewright.manager.operations.services import Ask, known, submit
from sitewright.manager.releases.returning import trial_is_on
from sitewright.manager.sites import branches, previewing, protection
from sitewright.manager.sites.access import for_user
from sitewright.manager.sites.models import Channel, Site
from sitewright.manager.sites.unpublished import listed, refuse_edits

log = logging.getLogger(__name__)

CHOICES = frozenset({choice.value for choice in WhenEdited} - {WhenEdited.REFUSE.value})
SHORT = 10
"""Digits of a commit that people are shown."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One branch that arrived, whatever brought it. ``old`` None: where the branch is has to be looked up. ``key``: asked again with the
    same one, it is the same operation. ``why`` is for the timeline: `Pushed`, `Fetched from example.org`."""

    branch: str
    new: str
    old: str | None = None
    forced: bool = False
    when_edited: WhenEdited = WhenEdited.REFUSE
    why: str = "Pushed"
    key: str = ""
    mirrored: bool = False
    """It is so over there already: wherever the branch is by then, it goes along."""


@dataclass(slots=True)
class _Push:
    """A push while it is judged."""

    asked: PushAsked
    user: User
    site: Site
    channels: dict[str, Channel] = field(default_factory=dict)


def judge(asked: PushAsked) -> PushVerdict:
    """One verdict for each reference. Asked again about the same session, it says the same and starts nothing new."""
    try:
        push = _opened(asked)
    except SitewrightError as error:
        return PushVerdict(verdicts=tuple(refused(update.name, error) for update in asked.updates))
    return PushVerdict(verdicts=tuple(_judge(push, update) for update in asked.updates))


def _opened(asked: PushAsked) -> _Push:
    user = User.objects.filter(pk=asked.user_id, is_active=True).first() if asked.user_id.isdigit() else None
    site = for_user(user).filter(id=asked.site_id).first() if user is not None else None
    if user is None or site is None:
        raise ConflictError("There is no such site, or it is not yours to see.")
    channels = Channel.objects.filter(site=site, node=asked.node).exclude(branch="")
    rows = channels.select_related("site")
    return _Push(asked, user, site, {channel.branch: channel for channel in rows})


def _judge(push: _Push, update: RefUpdate) -> RefVerdict:
    try:
        if update.name.startswith(TAGS):
            return _store(push, update)
        if not update.name.startswith(BRANCHES):
            raise ConflictError("Only branches and tags can be pushed.")
        channel = push.channels.get(update.name.removeprefix(BRANCHES))
        if channel is None:
            return _store(push, update)
        return _deploy(push, channel, update)
    except SitewrightError as error:
        log.info("push.refused", extra={"site": push.site.name, "ref": update.name, "code": error.code})
        noted(push.site.id, EventKind.PUSH_REFUSED, f"A push to {_short(update)} was refused. {error.message}", push.user)
        return refused(update.name, error)
    except Exception:
        log.exception("push.not_judged", extra={"site": push.site.name})
        return refused(
            update.name, SitewrightError("Something went wrong inside the platform; nothing was changed.", resolution="Push again.")
        )


def refused(name: str, error: SitewrightError) -> RefVerdict:
    """A reference that stays as it is: git shows the reason beside it, what can be done about it above."""
    told = [*error.message.splitlines(), *error.details.splitlines(), *error.resolution.splitlines()]
    return RefVerdict(name=name, action=PushAction.REFUSE, reason=error.message.splitlines()[0], told=tuple(told))


def _short(update: RefUpdate) -> str:
    return as_told(update.name.removeprefix(BRANCHES).removeprefix(TAGS))


def _store(push: _Push, update: RefUpdate) -> RefVerdict:
    """Kept, and told where it would be deployed; somebody who may only look keeps nothing here."""
    if not for_user(push.user, Role.DEVELOPER).filter(id=push.site.id).exists():
        raise protection.viewer_pushes()
    told = []
    if update.name.startswith(BRANCHES):
        told = previewing.branch_pushed(push.site, update.name.removeprefix(BRANCHES), update.new, push.user)
        if update.new and not told:
            followed = ", ".join(sorted(f"{branch} → {channel.name}" for branch, channel in push.channels.items()))
            told = [f"{_short(update)} is stored; no channel follows it." + (f" Followed: {followed}." if followed else "")]
    return RefVerdict(name=update.name, action=PushAction.STORE, told=tuple(told))


def _deploy(push: _Push, channel: Channel, update: RefUpdate) -> RefVerdict:
    protection.check_role(push.user, channel)
    if not update.new:
        raise ConflictError(
            f"The channel “{channel.name}” follows this branch.", resolution="Let it follow another one first, then delete the branch."
        )
    if update.forced and channel.protected:
        raise ConflictError(
            f"Nobody forces a push to the protected channel “{channel.name}”.", resolution="Fetch, build on what is there, and push again."
        )
    chosen, told = _chosen(push.asked.options)
    arrival = Arrival(
        branch=channel.branch,
        new=update.new,
        old=update.old,
        forced=update.forced,
        when_edited=chosen,
        key=hashlib.sha256(f"push {push.asked.session} {update.name} {update.new}".encode()).hexdigest()[:40],
    )
    operation = deploy(channel, arrival, push.user)
    return RefVerdict(name=update.name, action=PushAction.DEPLOY, operation=operation.id, told=(*told, _whereto(channel)))


def _whereto(channel: Channel) -> str:
    host = channel.routes.values_list("host", flat=True).first()
    address = f" ({settings.PLATFORM.url(host)})" if host else ""
    return f"Deploying to {channel.name}{address}."


def _chosen(options: tuple[str, ...]) -> tuple[WhenEdited, list[str]]:
    """What becomes of unpublished edits, and what to say of options that mean nothing here."""
    known = [option for option in options if option in CHOICES]
    told = [f"The push option “{as_told(option)}” means nothing here." for option in options if option not in CHOICES]
    if len(set(known)) > 1:
        raise ConflictError(f"Only one of the push options {', '.join(sorted(set(known)))} can be followed.")
    return (WhenEdited(known[0]) if known else WhenEdited.REFUSE), told


def deploy(channel: Channel, arrival: Arrival, user: User | None) -> Operation:
    """Begin to deploy what arrived to the channel that follows the branch. Raises SitewrightError, in words, when it cannot be."""
    before = known(user, arrival.key, OperationKind.DEPLOY, channel.site, channel)
    if before is not None:
        return before
    protection.check_not_frozen(channel)
    if channel.canary_release_id is not None:
        raise trial_is_on()
    if channel.mode == Mode.LIVE.value and channel.release_id is not None:
        _check_edits(channel, arrival, user)
    params: dict[str, Any] = {
        "source": CommitSource(commit=arrival.new, branch=arrival.branch).model_dump(mode="json"),
        "push": {"old": arrival.old, "forced": arrival.forced, "when_edited": arrival.when_edited.value, "mirrored": arrival.mirrored},
    }
    operation = submit(Ask(OperationKind.DEPLOY, channel.site, user, params, arrival.key, channel))
    trail(user, "site.push", channel.site_id, channel.site.name, channel=channel.name, branch=arrival.branch, commit=arrival.new)
    happened(operation, EventKind.PUSHED, f"{arrival.why} {arrival.new[:SHORT]} to {as_told(arrival.branch)}.")
    return operation


def _check_edits(channel: Channel, arrival: Arrival, user: User | None) -> None:
    """Said at once; the operation looks again when its turn comes."""
    if arrival.when_edited in {WhenEdited.OVERWRITE, WhenEdited.STASH}:
        return
    edits = branches.edits(channel)
    if not edits.files:
        return
    if arrival.when_edited is WhenEdited.PUBLISH:
        from sitewright.manager.sites.publishing import publish  # noqa: PLC0415 - publishing is above what a push does

        publish(user, channel, "Edits made on the site")
        raise ConflictError(
            f"The edits are being published to “{channel.branch}”.",
            details="\n".join(listed(edits)),
            resolution=f"Then fetch them, and push again: git pull --rebase origin {channel.branch}",
        )
    raise refuse_edits(channel, edits)


def arrived(site: Site, branch: str, new: str, user: User | None = None, why: str = "Fetched", old: str | None = None) -> Operation | None:
    """A branch of a connected repository is at *new* (its objects are in the site's repository): deploy it where a channel follows it.

    ``old``: where the site's own branch is now, None when that has to be looked up. None when no channel follows it. Raises
    SitewrightError, in words, when it cannot be deployed now.
    """
    rows = Channel.objects.select_related("site__team", "release", "canary_release", "frozen_by")
    channel = rows.filter(site=site, branch=branch).first() if branch else None
    if channel is None:
        return None
    if user is not None:
        protection.check_role(user, channel)
    return deploy(channel, Arrival(branch=branch, new=new, old=old, forced=True, why=why, mirrored=True), user)
