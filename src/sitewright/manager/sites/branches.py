"""A site's repository as the manager sees it: asking its node about branches and commits, and moving branches."""

from __future__ import annotations

from sitewright.bus.messages import Ack, ChangesAnswer, ChangesQuery, Edits, EditsQuery, RefMove, Refs, RepositoryQuery
from sitewright.domain.git import BRANCHES, Changes, RefUpdate
from sitewright.errors import ConflictError
from sitewright.manager.bus import NodeClient
from sitewright.manager.runtime import runtime
from sitewright.manager.sites.models import Channel

SECONDS = 15.0
"""For one question to the repository: git runs in a box, and a folder may be large."""


def refs(channel: Channel) -> Refs:
    """All branches and tags of the channel's site. Raises UnavailableError."""
    query = RepositoryQuery(site_id=channel.site_id, number=channel.site.number)
    return NodeClient(runtime().bus, channel.node).ask("git.refs", query, Refs, SECONDS)


def head(channel: Channel, branch: str) -> str:
    """The commit that a branch leads to now; "" when there is no such branch."""
    return next((ref.commit.id for ref in refs(channel).refs if ref.name == BRANCHES + branch), "")


def changes(channel: Channel, since: str, until: str, limit: int = 100) -> Changes:
    """What lies between two commits, newest first."""
    query = ChangesQuery(site_id=channel.site_id, number=channel.site.number, since=since, until=until, limit=limit)
    return NodeClient(runtime().bus, channel.node).ask("git.changes", query, ChangesAnswer, SECONDS).changes


def builds_on(channel: Channel, new: str, old: str) -> bool:
    """Whether *new* has *old* among its ancestors: then nothing of *old* is missing in it."""
    return not old or not changes(channel, new, old, 1).commits


def edits(channel: Channel) -> Edits:
    """How the folder of a live channel differs from what was last published or laid out."""
    return edits_since(channel, channel.commit)


def edits_since(channel: Channel, commit: str) -> Edits:
    """How its folder differs from any commit."""
    query = EditsQuery(site_id=channel.site_id, number=channel.site.number, channel=channel.name, commit=commit)
    return NodeClient(runtime().bus, channel.node).ask("git.edits", query, Edits, SECONDS)


def move(channel: Channel, branch: str, old: str, new: str, *, forced: bool = False) -> None:
    """Let a branch lead to *new* if it leads to *old* now; nothing to do when it leads to *new* already. Raises ConflictError."""
    if old == new:
        return
    update = RefUpdate(BRANCHES + branch, old, new, forced)
    moving = RefMove(site_id=channel.site_id, number=channel.site.number, updates=(update,))
    try:
        NodeClient(runtime().bus, channel.node).ask("git.move", moving, Ack, SECONDS)
    except ConflictError:
        if head(channel, branch) != new:  # it is there when the answer to an earlier try was lost
            raise ConflictError(
                f"The branch “{branch}” was moved by somebody else meanwhile.", resolution="Fetch it, build on it, and push again."
            ) from None
