"""Committing the edits of a live channel: the repository and the site are the same again."""

from __future__ import annotations

from sitewright.bus.messages import Published, PublishEdits
from sitewright.domain.events import EventKind, as_told
from sitewright.domain.operation import OperationKind
from sitewright.errors import ConflictError
from sitewright.manager.audit.services import happened
from sitewright.manager.bus import NodeClient
from sitewright.manager.operations.handlers import Context, Done, Outcome, StepPlan
from sitewright.manager.operations.kinds.branch import author_of
from sitewright.manager.operations.kinds.rollout import channel_of
from sitewright.manager.operations.models import Operation
from sitewright.manager.runtime import runtime
from sitewright.manager.sites import branches
from sitewright.manager.sites.models import Channel
from sitewright.manager.sites.protection import check_not_followed


class Publish:
    """To the channel's own branch, which it follows on; or to a new one, which changes nothing of the channel."""

    kind = OperationKind.PUBLISH

    def __init__(self) -> None:
        self.steps = (StepPlan("publish", "Commit the edits", self._publish),)

    def _publish(self, context: Context) -> Outcome:
        channel, branch = channel_of(context), str(context.params["branch"])
        own = branch == (channel.branch or branch)
        check_not_followed(channel, branch)
        head = branches.head(channel, branch)
        if own and channel.commit in {head, ""}:
            published = _commit(context, channel, branch, head)
        elif head and not branches.edits_since(channel, head).files and branches.builds_on(channel, head, channel.commit):
            # An earlier try of this step did it, or somebody pushed just what is in the folder.
            published = Published(commit=head)
        elif own:
            raise _moved(branch)
        elif head:
            raise ConflictError(f"There is a branch “{branch}” already.", resolution="Choose another name.")
        else:
            published = _commit(context, channel, "", channel.commit)
            branches.move(channel, branch, "", published.commit)
        if own:
            with context.fenced():
                Channel.objects.filter(id=channel.id).update(commit=published.commit)
        return _told(context, channel, branch, published)

    def undo(self, context: Context, reason: str) -> None:
        """Nothing of the site has changed."""
        happened(context.operation, EventKind.CHANGE_FAILED, f"The edits were not published; they are still there. {reason}")

    def check_cancel(self, operation: Operation) -> None:
        """Always possible."""


def _commit(context: Context, channel: Channel, branch: str, parent: str) -> Published:
    author = author_of(context.operation.created_by, str(context.params["message"]))
    asked = PublishEdits(
        site_id=channel.site_id, number=channel.site.number, channel=channel.name, branch=branch, parent=parent, author=author
    )
    return NodeClient(runtime().bus, channel.node).ask("git.publish", asked, Published, branches.SECONDS)


def _told(context: Context, channel: Channel, branch: str, published: Published) -> Done:
    if published.commit == channel.commit:
        return Done("Nothing was edited.")
    subject = as_told(str(context.params["message"]).splitlines()[0])
    happened(context.operation, EventKind.PUBLISHED, f"Published edits to {as_told(branch)}: {published.commit[:7]} {subject}")
    files = f"{published.files} {'file' if published.files == 1 else 'files'}, " if published.files else ""
    return Done(f"{files}commit {published.commit[:10]} on {branch}")


def _moved(branch: str) -> ConflictError:
    return ConflictError(
        f"The branch “{branch}” has moved on since these edits were begun.",
        details="Nothing was committed, and the edits are still there.",
        resolution="Publish to a new branch and merge the two; or deploy the branch, and keep the edits on one of their own (stash) or "
        "throw them away (overwrite).",
    )
