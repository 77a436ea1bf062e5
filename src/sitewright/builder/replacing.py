"""What was built takes the place of what was there: one rename each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sitewright.builder.ignored import take_along
from sitewright.system.files import flush_folder, remove_tree
from sitewright.system.ownership import SITE, make_folder


def replace_live_folder(folder: Path, tree: Path, kept: Iterable[str], owner: tuple[int, int]) -> int:
    """The new folder takes the old one's place, with the *kept* files of that; how many those were. The old one stays beside it until the
    next time."""
    previous = folder.with_name("folder.previous")
    if previous.is_dir():
        remove_tree(previous)
    count = take_along(folder, tree, kept, owner)
    folder.rename(previous)
    move_tree(tree, folder, owner)
    return count


def move_tree(tree: Path, target: Path, owner: tuple[int, int]) -> None:
    """Rename, over whatever an interrupted build left there."""
    if target.exists():
        remove_tree(target)
    make_folder(tree, SITE, owner)
    tree.rename(target)
    flush_folder(target.parent)
