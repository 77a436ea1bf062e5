"""Channels, edits, branches and commits as the API takes and shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from ninja import Field, Schema

from sitewright.domain.channel import ChannelKind
from sitewright.domain.desired import Strategy
from sitewright.domain.states import Mode, Role, SiteState
from sitewright.manager.operations.schemas import OperationOut
from sitewright.manager.sites.schemas import ChannelOut

Name = Annotated[str, Field(max_length=63, examples=["staging"])]
Branch = Annotated[str, Field(max_length=200, examples=["staging"])]


class FreezeOut(Schema):
    """Nothing is deployed before ``until``; ``by`` is an e-mail address."""

    until: datetime
    reason: str
    by: str


class FullChannelOut(ChannelOut):
    """A channel with what it follows and who may deploy to it. ``commit`` is what visitors get, or what was last published. ``data_of`` is
    the channel whose data it uses, "" for its own."""

    kind: ChannelKind
    state: SiteState
    branch: str
    commit: str
    protected: bool
    deploy_role: Role
    freeze: FreezeOut | None
    data_of: str
    expires_at: datetime | None
    operation: OperationOut | None


class ChannelList(Schema):
    """A site's channels, production first."""

    items: list[FullChannelOut]
    next: str | None


class ChannelIn(Schema):
    """A new channel. ``copy_env`` and ``share_data``: true for production's, or another channel's name."""

    name: Name
    branch: Branch = ""
    mode: Mode = Mode.RELEASED
    copy_env: bool | str = False
    share_data: bool | str = False


class ChannelPatch(Schema):
    """What to change; what is left out stays. ``share_data`` "" gives it data of its own (the other's are not copied)."""

    branch: Branch | None = None
    protected: bool | None = None
    deploy_role: Role | None = None
    share_data: str | None = Field(None, max_length=63)


class ChannelAccepted(Schema):
    """The channel as it is now, and what has begun; no ``operation`` when nothing had to."""

    channel: FullChannelOut
    operation: OperationOut | None


class AdoptIn(Schema):
    """Which release: the one that visitors of the channel ``from`` get, or its number ``release``. ``why`` is told in the timeline; the
    rest is as for a deploy."""

    source: Name = Field(alias="from")
    release: int | None = Field(None, ge=1)
    canary_percent: float | None = Field(None, gt=0, lt=100)
    strategy: Strategy | None = None
    replace: bool = False
    why: str = Field("", max_length=200, examples=["Everybody liked it"])


class FreezeIn(Schema):
    """Until when nothing is deployed, and why; whoever pushes meanwhile reads it."""

    until: datetime
    reason: str = Field("", max_length=200, examples=["Exams"])


class PublishIn(Schema):
    """What was done, for the commit; to the channel's branch, or to a new one."""

    message: str = Field("", max_length=10_000, examples=["Correct the opening hours"])
    branch: Branch = ""


class StashIn(Schema):
    """The new branch that the edits go to; a name is made up without."""

    branch: Branch = ""


class EditOut(Schema):
    """A file: A new, M changed, D deleted."""

    kind: str
    path: str


class EditList(Schema):
    """What was edited since ``commit``; ``more`` counts files left out."""

    commit: str
    items: list[EditOut]
    more: int


class CommitOut(Schema):
    """A commit. ``at`` is seconds since the epoch."""

    id: str
    author: str
    at: float
    subject: str


class CommitList(Schema):
    """Commits, newest first."""

    items: list[CommitOut]
    next: str | None


class BranchOut(Schema):
    """A branch, its newest commit, and the channel that follows it, "" for none."""

    name: str
    commit: CommitOut
    channel: str


class BranchList(Schema):
    """Branches by name; ``size_bytes`` is what the repository takes on disk."""

    items: list[BranchOut]
    next: str | None
    size_bytes: int


class FileChangeOut(Schema):
    """A file: A, M, D, R, T; lines are -1 for binary files."""

    path: str
    kind: str
    added: int
    removed: int


class ChangesOut(Schema):
    """What lies between two commits; ``more`` counts files left out."""

    since: str
    until: str
    commits: list[CommitOut]
    files: list[FileChangeOut]
    more: int
