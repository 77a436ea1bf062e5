"""What web hooks say, and what is said to a vendor, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from sitewright.domain.git import BRANCHES, TAGS


class PullAction(StrEnum):
    """What happened to a pull request, in one word for all vendors."""

    OPENED = "opened"
    """Or opened again."""
    CHANGED = "changed"
    """New commits, another title, another target."""
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Pushed:
    """A branch or tag moved. ``old`` "" is a new one, ``new`` "" a deleted one; ``project`` is `owner/name`, "" when it was not said."""

    ref: str
    old: str
    new: str
    who: str = ""
    project: str = ""
    forced: bool = False

    @property
    def branch(self) -> str:
        """Its short name; "" for a tag."""
        return self.ref.removeprefix(BRANCHES) if self.ref.startswith(BRANCHES) else ""

    @property
    def tag(self) -> str:
        """Its short name; "" for a branch."""
        return self.ref.removeprefix(TAGS) if self.ref.startswith(TAGS) else ""


@dataclass(frozen=True, slots=True)
class PullChanged:
    """A pull request as it is now. ``at`` is the vendor's own time of it in seconds since the epoch, 0.0 when it says none."""

    number: int
    action: PullAction
    branch: str
    commit: str
    fork: bool
    merged: bool = False
    title: str = ""
    author: str = ""
    url: str = ""
    project: str = ""
    head_project: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Ping:
    """The vendor tries whether somebody is there."""

    project: str = ""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing to do; ``reason`` is a sentence for the delivery log."""

    reason: str


HookEvent = Pushed | PullChanged | Ping | Ignored


@dataclass(frozen=True, slots=True)
class There:
    """Where a vendor's interface is, and what opens it. ``project`` is `owner/name`."""

    api_url: str
    project: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request. Its headers hold the token: they are not shown."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class StatusNews:
    """What is said of a commit. ``state`` is a CommitState; ``target`` the address to look at."""

    commit: str
    context: str
    state: str
    description: str = ""
    target: str = ""


def mark_of(pull_id: str) -> str:
    """What a comment of ours begins with: invisible when shown, and how it is found again."""
    return f"<!-- sitewright preview {pull_id} -->"
