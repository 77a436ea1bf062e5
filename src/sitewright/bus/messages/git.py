"""Repositories, pushes, commits."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from sitewright.bus.messages.base import Message
from sitewright.bus.messages.builds import Author
from sitewright.domain.git import Changes, Commit, PushAction, RefUpdate


class RepositoryQuery(Message):
    """Which site's repository; ``number`` is the site's, from which its uid follows."""

    site_id: str
    number: int


class Ref(Message):
    """A branch or tag and the commit it leads to. ``name`` is whole: `refs/heads/main`."""

    name: str
    commit: Commit


class Refs(Message):
    """Branches and tags, and what the repository takes on disk. Empty for a site that has none yet."""

    refs: tuple[Ref, ...] = ()
    size_bytes: int = 0


class ChangesQuery(Message):
    """What lies between two commits (``since`` "" is: from the beginning), at most ``limit`` commits and files."""

    site_id: str
    number: int
    since: str = ""
    until: str = ""
    limit: int = 100


class ChangesAnswer(Message):
    """The answer to ChangesQuery."""

    changes: Changes


class RefMove(Message):
    """Move references, all or none; each ``old`` is compared first ("" must not be there). ConflictError names the one that was moved
    meanwhile."""

    site_id: str
    number: int
    updates: tuple[RefUpdate, ...]


class GitService(StrEnum):
    """The two halves of git's protocol."""

    UPLOAD_PACK = "upload-pack"
    """fetch, clone."""
    RECEIVE_PACK = "receive-pack"
    """push."""


class GitOpen(Message):
    """Serve one connection of git's protocol over the streams of ``session``. With ``stateless`` it is one half of the HTTP protocol:
    ``advertise`` only says what there is. ``protocol`` is the client's GIT_PROTOCOL.

    ``user_id`` and ``who`` (an e-mail address) are whom the manager has let in; a push asks for its verdict under that id.
    """

    session: str
    site_id: str
    site_name: str
    number: int
    service: GitService
    user_id: str
    who: str
    protocol: str = ""
    stateless: bool = False
    advertise: bool = False


class PushAsked(Message):
    """The node asks the manager: what is to become of these references? Their objects are in the repository already. ``options`` are
    those of `git push -o`."""

    node: str
    session: str
    site_id: str
    user_id: str
    updates: tuple[RefUpdate, ...]
    options: tuple[str, ...] = ()
    atomic: bool = False
    """All or none: when one is refused, all are, and none is deployed."""


class RefVerdict(Message):
    """What becomes of one reference. ``operation`` is there with DEPLOY; ``told`` are lines for whoever pushes, ``reason`` is one short
    line that git shows beside a refused reference."""

    name: str
    action: PushAction
    reason: str = ""
    operation: str = ""
    told: tuple[str, ...] = ()


class PushVerdict(Message):
    """One verdict a reference. The node moves those to be stored at once; those to be deployed are moved by their operation."""

    verdicts: tuple[RefVerdict, ...]


class OperationFollow(Message):
    """How is that operation getting on? Answered at once when there is something after ``cursor`` ("" is the beginning), else after at most
    ``wait_seconds``."""

    operation: str
    cursor: str = ""
    wait_seconds: float = 10.0


class OperationNews(Message):
    """Lines for a person's screen (steps, the build's log with its colours) and where to go on. ``ended``: nothing follows, and ``ok``
    says how it went; ``problem`` is the sentence for a failure."""

    lines: tuple[str, ...] = ()
    cursor: str = ""
    ended: bool = False
    ok: bool = False
    problem: str = ""


class Credential(Message):
    """What opens a foreign repository. At most one of the two; never in argv, never in a log."""

    user: str = ""
    password: str = Field(default="", repr=False)
    ssh_key: str = Field(default="", repr=False)
    known_hosts: str = ""


class RepositoryFetch(Message):
    """Fetch a foreign repository's branches and tags into refs/sitewright/remote/… of the site's own. ``refs``: only those (whole names,
    `refs/pull/7/head`); () is all branches and tags."""

    site_id: str
    number: int
    url: str
    refs: tuple[str, ...] = ()
    credential: Credential | None = None
    request: str = ""
    """Asked again with the same id, a fetch that runs or has ended is not done twice."""
    team_id: str = ""
    """Whose it is: one team's slow servers do not keep everybody else's repositories waiting. "" is a team of its own."""


class RepositoryFetched(Message):
    """Whole names as they are over there, and their commits. ``running``: ask again."""

    running: bool = False
    refs: dict[str, str] = Field(default_factory=dict)
    default_branch: str = ""
    problem: str = ""
    details: str = ""
    known_hosts: str = ""
    """The keys of an SSH server: those that were given, or, when none were, those that it has shown this once. Give them from now on."""


class EditsQuery(Message):
    """How does a live channel's folder differ from ``commit`` ("" is: from nothing)?"""

    site_id: str
    number: int
    channel: str
    commit: str = ""


class Edits(Message):
    """Files that are new, changed or gone; ``more`` counts those left out. None of the folders that builds fill (node_modules, .venv …)."""

    files: tuple[tuple[str, str], ...] = ()
    """Kind (A, M, D) and path."""
    more: int = 0


class PublishEdits(Message):
    """Commit a live channel's folder on top of ``parent`` and move ``branch`` there, if it is still at ``parent``. With ``branch`` "" the
    commit is only made."""

    site_id: str
    number: int
    channel: str
    branch: str
    parent: str
    author: Author


class Published(Message):
    """The commit; the parent itself when nothing was changed."""

    commit: str
    files: int = 0
