"""Edits of a live channel that are in its folder and in no commit: how they are told, and what one may do about them."""

from __future__ import annotations

from sitewright.bus.messages import Edits
from sitewright.domain.git import WhenEdited
from sitewright.errors import ConflictError
from sitewright.manager.sites.models import Channel

NAMED = 5
CHOICES = (
    (WhenEdited.PUBLISH, "commits them to the branch first; then fetch, build on that, and push again"),
    (WhenEdited.STASH, "keeps them on a branch of their own, and your push goes on"),
    (WhenEdited.OVERWRITE, "throws them away"),
)


class EditedError(ConflictError):
    """The site was edited where it runs, and that was not published yet."""

    code = "edited"


def counted(edits: Edits) -> str:
    """`3 files`."""
    count = len(edits.files) + edits.more
    return "1 file" if count == 1 else f"{count} files"


def listed(edits: Edits) -> list[str]:
    """The first few, a line each."""
    words = {"A": "new", "M": "changed", "D": "deleted"}
    lines = [f"  {words.get(kind, kind)}: {path}" for kind, path in edits.files[:NAMED]]
    left = len(edits.files) + edits.more - len(lines)
    return [*lines, f"  … and {left} more"] if left > 0 else lines


def choices() -> list[str]:
    """What somebody who pushes may do, a line each."""
    return [f"  git push -o {choice.value:<9}  {words}" for choice, words in CHOICES]


def refuse_edits(channel: Channel, edits: Edits) -> EditedError:
    """Why a deploy would lose something."""
    return EditedError(
        f"“{channel.name}” has unpublished edits in {counted(edits)}.",
        details="\n".join(listed(edits)),
        resolution="Choose what becomes of them:\n" + "\n".join(choices()),
    )
