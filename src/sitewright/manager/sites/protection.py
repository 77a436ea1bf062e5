"""Who may bring something else to a channel's visitors, and when nobody may: protected channels and deploy freezes."""

from __future__ import annotations

from datetime import datetime

from sitewright.domain.operation import OperationKind
from sitewright.domain.states import ROLE_ORDER, Mode, Role
from sitewright.errors import ConflictError, ForbiddenError
from sitewright.manager.accounts.models import User
from sitewright.manager.runtime import runtime
from sitewright.manager.sites.access import channels_for
from sitewright.manager.sites.models import Channel

GUARDED = frozenset(
    {
        *(OperationKind.CREATE, OperationKind.DEPLOY, OperationKind.ROLLBACK, OperationKind.PROMOTE, OperationKind.ABORT),
        *(OperationKind.ADOPT, OperationKind.PUBLISH, OperationKind.ENV, OperationKind.CHANNEL),
    }
)
"""What the role of a protected channel is needed for, also to cancel it or set it going again."""
FROZEN = frozenset({OperationKind.DEPLOY, OperationKind.PROMOTE, OperationKind.ADOPT})
"""What a freeze keeps out. Going back to a release of before is how one gets out of trouble, and stays possible."""


class FrozenError(ConflictError):
    """Nothing is deployed to this channel for a while."""

    code = "frozen"


def role_needed(channel: Channel) -> Role:
    """The weakest role that may deploy to it, roll back, promote, publish and change variables."""
    usual = Role.DEVELOPER
    return max(usual, Role(channel.deploy_role), key=ROLE_ORDER.index) if channel.protected else usual


def viewer_pushes() -> ForbiddenError:
    """Somebody who may only look wants to push."""
    return ForbiddenError(
        "Your role in the team does not allow this.", details="It needs the role developer.", resolution="Ask an owner of the team."
    )


def check_role(user: User, channel: Channel) -> None:
    """Raise ForbiddenError, in words, when *user* may not bring anything to the channel's visitors."""
    needed = role_needed(channel)
    if channels_for(user, needed).filter(id=channel.id).exists():
        return
    if needed is Role.DEVELOPER:
        raise ForbiddenError("Your role in the team does not allow this.", details=f"It needs the role {needed.value}.")
    raise ForbiddenError(
        f"The channel “{channel.name}” is protected.",
        details=f"Only somebody with the role {needed.value} may deploy to it, roll back, promote, publish or change its variables.",
        resolution="Ask an owner of the team, or deploy to another channel.",
    )


def check_owner(user: User, channel: Channel) -> None:
    """Raise ForbiddenError unless *user* owns the channel's site: who may deploy is for nobody else to say."""
    if not channels_for(user, Role.OWNER).filter(id=channel.id).exists():
        raise ForbiddenError(
            "Who may deploy to a channel is set by owners of the team.", details="It needs the role owner.", resolution="Ask one of them."
        )


def frozen_until(channel: Channel) -> datetime | None:
    """Until when nothing is deployed to it; None when that is over, or was never asked for."""
    until = channel.frozen_until
    return until if until is not None and until.timestamp() > runtime().clock.now() else None


def check_not_frozen(channel: Channel) -> None:
    """Raise FrozenError that says until when, why and by whom."""
    until = frozen_until(channel)
    if until is None:
        return
    who = f" by {channel.frozen_by.email}" if channel.frozen_by else ""
    reason = f": {channel.frozen_reason.rstrip('.')}" if channel.frozen_reason else ""
    raise FrozenError(
        f"The channel “{channel.name}” is frozen until {until:%Y-%m-%d %H:%M} UTC{who}{reason}.",
        details="Nothing is deployed to it before then; it can be rolled back.",
        resolution="Wait until then, or have the freeze ended.",
    )


def check_not_followed(channel: Channel, branch: str) -> None:
    """Raise ConflictError when another channel follows *branch*: it would lead to something that this channel's visitors never got, and
    whoever may not deploy there could still decide what comes next."""
    other = Channel.objects.filter(site_id=channel.site_id, branch=branch).exclude(id=channel.id).first()
    if other is not None:
        raise ConflictError(
            f"The channel “{other.name}” follows the branch “{branch}”.",
            details="What is on it is what was pushed to that channel.",
            resolution="Choose a new branch, and merge it there.",
        )


def check_files(user: User, channel: Channel) -> None:
    """Raise ForbiddenError when *user* may not change the files of a live channel: they are what its visitors get, at once."""
    if channel.mode == Mode.LIVE.value:
        check_role(user, channel)


def check(user: User, channel: Channel, kind: OperationKind) -> None:
    """Raise ForbiddenError or FrozenError when this person may not do that to the channel now."""
    if kind in GUARDED:
        check_role(user, channel)
    if kind in FROZEN:
        check_not_frozen(channel)
