"""A deploy and its branch: the branch moves last, once visitors get the commit, and only from where it was known to be.

Also what becomes of the edits of a live channel that a deploy lays something else over, and what is told of a commit.
"""

from __future__ import annotations

import logging

from sitewright.bus.messages import Author, CommitSource, FolderSource, GitSource, ImageSource, Published, PublishEdits, Source
from sitewright.domain.git import WhenEdited
from sitewright.domain.states import Mode
from sitewright.errors import ConflictError, SitewrightError
from sitewright.manager.accounts.models import User
from sitewright.manager.bus import NodeClient
from sitewright.manager.operations.handlers import Context
from sitewright.manager.operations.lanes import others_in_the_way
from sitewright.manager.operations.models import Operation
from sitewright.manager.releases.models import Build
from sitewright.manager.runtime import runtime
from sitewright.manager.sites import branches
from sitewright.manager.sites.models import Channel
from sitewright.manager.sites.protection import check_not_followed
from sitewright.manager.sites.unpublished import refuse_edits

log = logging.getLogger(__name__)

LONGEST_SUBJECT = 200


def branch_of(source: Source) -> str:
    """The branch that moves to the source's commit once it is live; "" for none."""
    return source.branch if isinstance(source, CommitSource) else ""


def check_branch(context: Context, channel: Channel, source: Source) -> None:
    """Make sure, before anything is built, that the branch can move to the commit afterwards. Raises ConflictError.

    The repository is asked only when something else went on since the push: as a rule the push itself has just said where the branch is.
    """
    branch = branch_of(source)
    if not branch or not isinstance(source, CommitSource):
        return
    push = context.params.get("push", {})
    known = push.get("old")
    if known is not None and not _waited(context.operation):
        return
    head = branches.head(channel, branch)
    if push.get("mirrored"):
        context.remember(old=head)
        return
    if (
        known is not None
        and head not in {known, source.commit}
        and (push.get("forced") or not branches.builds_on(channel, source.commit, head))
    ):
        raise ConflictError(
            f"The branch “{branch}” was moved meanwhile.",
            details=f"It leads to {head[:10] or 'nothing'} now, and the push did not know of that. Nothing was deployed.",
            resolution="Fetch it, build on it, and push again.",
        )
    context.remember(old=head)


def _waited(operation: Operation) -> bool:
    """Whether others that may have moved the branch ended after this one was asked for, or this one is tried again."""
    return operation.fence > 1 or others_in_the_way(operation).filter(finished_at__gte=operation.created_at).exists()


def move_branch(context: Context, channel: Channel, source: Source, commit: str) -> None:
    """The last thing that such a deploy does; harmless when done twice. Raises ConflictError when the branch is elsewhere by now."""
    branch = branch_of(source)
    if branch and commit:
        push = context.params.get("push", {})
        old = context.found("source").get("old", push.get("old") or "")
        branches.move(channel, branch, old, commit, forced=bool(push.get("forced")))
    elif commit and context.found("build").get("parent") is not None:
        _take_along(context, channel, commit)


def _take_along(context: Context, channel: Channel, commit: str) -> None:
    """The platform's own commit of an upload: the channel's branch goes along while nobody has pushed to it. That is for convenience, so a
    node that cannot do it fails nothing; the release keeps the commit in any case."""
    if not channel.branch:
        return
    try:
        parent = context.found("build")["parent"]
        if not parent or _our_own(channel, parent):
            branches.move(channel, channel.branch, parent, commit)
    except SitewrightError:
        log.warning("branch.not_moved", extra={"operation": context.operation.id, "channel": channel.id}, exc_info=True)


def _our_own(channel: Channel, commit: str) -> bool:
    """Whether the platform made it, of an upload, a template, a foreign repository, or of a live channel's edits."""
    if channel.commit == commit and channel.mode == Mode.LIVE.value:
        return True
    return Build.objects.filter(channel__site_id=channel.site_id, commit=commit).exclude(source__kind="commit").exists()


def recorded(source: Source) -> bool:
    """Whether the platform keeps such a source as a commit of its own."""
    return not isinstance(source, (CommitSource, FolderSource, ImageSource))


def parent_for(channel: Channel) -> str:
    """What a commit of the platform's own is put on top of; "" when the branch is not there or the node cannot say. Raises
    UnavailableError when it may later."""
    if not channel.branch:
        return ""
    try:
        return branches.head(channel, channel.branch)
    except SitewrightError as error:
        if not error.permanent:
            raise
        return ""


def author_of(user: User | None, message: str) -> Author:
    """Whom such a commit is by."""
    if user is None:
        return Author(name="Sitewright", email="sitewright@localhost", message=message)
    return Author(name=user.get_full_name(), email=user.email, message=message)


def told_of(source: Source) -> str:
    """What something was deployed from, when no commit says it."""
    if isinstance(source, GitSource):
        return f"{source.url} {source.ref}".strip()[:LONGEST_SUBJECT]
    if isinstance(source, ImageSource):
        return f"Image {source.reference}"[:LONGEST_SUBJECT]
    if isinstance(source, FolderSource):
        return "The live folder"
    if isinstance(source, CommitSource):
        return ""
    name = getattr(source, "name", "")
    return f"{source.kind.capitalize()} {name}".strip()[:LONGEST_SUBJECT]


def check_edits(context: Context, channel: Channel) -> None:
    """What was edited in a live channel's folder is not lost by accident: refuse, or keep it on a branch of its own first. Raises
    ConflictError."""
    if channel.mode != Mode.LIVE.value or channel.release_id is None:
        return
    choice = WhenEdited(context.params.get("push", {}).get("when_edited", WhenEdited.OVERWRITE.value))
    if choice is WhenEdited.OVERWRITE or "stashed" in context.found():
        return
    edits = branches.edits(channel)
    if not edits.files:
        return
    if choice is not WhenEdited.STASH:
        raise refuse_edits(channel, edits)
    context.remember(stashed=_stash(channel, context.operation))


def _stash(channel: Channel, operation: Operation) -> str:
    """Keep the edits as a branch of their own; its name, which is the same however often this operation tries."""
    user = operation.created_by
    name = operation.params["push"].get("stash") or f"edits/{operation.created_at:%Y-%m-%d}-{operation.id}"
    author = author_of(user, f"Unpublished edits of {channel.name}")
    asked = PublishEdits(
        site_id=channel.site_id, number=channel.site.number, channel=channel.name, branch="", parent=channel.commit, author=author
    )
    head = branches.head(channel, name)
    if head and not branches.edits_since(channel, head).files:
        return name  # an earlier try of this step has kept them
    if head:
        raise ConflictError(
            f"There is a branch “{name}” already.",
            details="Nothing was laid over the edits: they are still there.",
            resolution="Choose another name.",
        )
    check_not_followed(channel, name)
    commit = NodeClient(runtime().bus, channel.node).ask("git.publish", asked, Published, branches.SECONDS).commit
    branches.move(channel, name, "", commit)
    return name
