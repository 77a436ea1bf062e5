"""Branches, commits and pushes as values. A commit is 40 (or 64) hex digits; "" stands for none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

BRANCHES = "refs/heads/"
TAGS = "refs/tags/"
HIDDEN = "refs/sitewright/"
"""What the platform keeps for itself in a site's repository: never shown to a client, never pushed to."""
DEFAULT_BRANCH = "main"


class PushAction(StrEnum):
    """What becomes of one reference that somebody pushes."""

    STORE = "store"
    """It is kept; nothing is deployed."""
    DEPLOY = "deploy"
    """It is deployed, and moves when that has succeeded."""
    REFUSE = "refuse"
    """It stays as it is; the reason is told."""


class WhenEdited(StrEnum):
    """What a push to a live channel does with edits that were not published; asked for with `git push -o NAME`."""

    REFUSE = "refuse"
    PUBLISH = "publish"
    """They are committed to the branch first; the push is then refused unless it builds on them."""
    STASH = "stash"
    """They are committed to a branch of their own, and the push goes on."""
    OVERWRITE = "overwrite"
    """They are lost."""


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """One line of a push. ``old`` "" makes the reference, ``new`` "" deletes it. ``forced``: *new* does not build on *old*."""

    name: str
    old: str
    new: str
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit as it is shown. ``at`` is the author's time, in seconds since the epoch; ``author`` is `Alice <alice@example.org>`."""

    id: str
    author: str
    at: float
    subject: str


@dataclass(frozen=True, slots=True)
class FileChange:
    """What happened to one file between two commits. ``kind`` is one letter of git's: A, M, D, R, T; lines are -1 for binary files."""

    path: str
    kind: str
    added: int = 0
    removed: int = 0


@dataclass(frozen=True, slots=True)
class Changes:
    """What lies between two commits, newest first; ``more`` counts files that were left out."""

    commits: tuple[Commit, ...] = ()
    files: tuple[FileChange, ...] = ()
    more: int = 0
