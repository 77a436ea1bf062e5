"""From edits of a live channel to commits: publish them, throw them away, or keep them on a branch of their own."""

from __future__ import annotations

from typing import Any

from sitewright.bus.messages import CommitSource, Edits
from sitewright.domain.git import WhenEdited
from sitewright.domain.operation import OperationKind
from sitewright.domain.states import Mode
from sitewright.errors import ConflictError, InvalidValueError
from sitewright.manager.accounts.models import User
from sitewright.manager.audit.services import trail
from sitewright.manager.operations.models import Operation
from sitewright.manager.operations.services import Ask, known, submit
from sitewright.manager.sites import branches, protection
from sitewright.manager.sites.branch_names import check_branch_name
from sitewright.manager.sites.models import Channel

USUAL_MESSAGE = "Edits made on the site"
LONGEST_MESSAGE = 10_000


def _live(channel: Channel) -> None:
    if channel.mode != Mode.LIVE.value:
        raise ConflictError(
            f"“{channel.name}” runs releases, so there are no edits.", details="Only a live channel is edited where it runs."
        )


def edits(channel: Channel) -> Edits:
    """What is in the folder and in no commit. Raises ConflictError for a channel that runs releases, UnavailableError."""
    _live(channel)
    return branches.edits(channel)


def publish(user: User | None, channel: Channel, message: str = "", branch: str = "", key: str = "") -> Operation:
    """Commit the folder to the channel's branch, or to the new *branch*. Raises ConflictError, ForbiddenError."""
    before = known(user, key, OperationKind.PUBLISH, channel.site, channel)
    if before is not None:
        return before
    _live(channel)
    if user is not None:
        protection.check(user, channel, OperationKind.PUBLISH)
    branch = branch or channel.branch or channel.site.default_branch
    check_branch_name(branch)
    protection.check_not_followed(channel, branch)
    message = message.strip() or USUAL_MESSAGE
    if len(message) > LONGEST_MESSAGE or "\0" in message:
        raise InvalidValueError("This message cannot be used.", details=f"It is text of at most {LONGEST_MESSAGE} characters.")
    trail(user, "site.publish", channel.site_id, channel.site.name, channel=channel.name, branch=branch)
    return submit(Ask(OperationKind.PUBLISH, channel.site, user, {"message": message, "branch": branch}, key, channel))


def discard(user: User, channel: Channel, key: str = "") -> Operation:
    """Throw the edits away: the folder is again what was last published. Raises ConflictError when that is not known."""
    return _again(user, channel, WhenEdited.OVERWRITE, key)


def stash(user: User, channel: Channel, branch: str = "", key: str = "") -> Operation:
    """Keep the edits on a branch of their own (a name is made up without *branch*), then lay out what was last published."""
    if branch:
        check_branch_name(branch)
        protection.check_not_followed(channel, branch)
    return _again(user, channel, WhenEdited.STASH, key, branch)


def _again(user: User, channel: Channel, choice: WhenEdited, key: str, branch: str = "") -> Operation:
    before = known(user, key, OperationKind.DEPLOY, channel.site, channel)
    if before is not None:
        return before
    _live(channel)
    protection.check(user, channel, OperationKind.DEPLOY)
    if not channel.commit:
        raise ConflictError(
            "What was last published is not known.", resolution="Publish the folder once; then its edits can be told apart."
        )
    params: dict[str, Any] = {
        "source": CommitSource(commit=channel.commit).model_dump(mode="json"),
        "push": {"when_edited": choice.value, "stash": branch},
    }
    trail(user, f"site.edits.{choice.value}", channel.site_id, channel.site.name, channel=channel.name)
    return submit(Ask(OperationKind.DEPLOY, channel.site, user, params, key, channel))
