"""A build cannot make the folder that the router serves lead out of the site."""

from __future__ import annotations

from pathlib import Path

import pytest

from sitewright.builder.apply import check_served
from sitewright.errors import BuildError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / ".sitewright" / "public").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("root", ["", ".sitewright/public", ".sitewright/public/none"])
def test_a_folder_of_its_own_is_served(tree: Path, root: str) -> None:
    check_served(tree, root)


@pytest.mark.parametrize("place", [".sitewright/public", ".sitewright"])
def test_a_link_on_the_way_to_it_is_refused(tree: Path, place: str) -> None:
    (tree / place).rename(tree / "kept")
    (tree / place).symlink_to("/")
    with pytest.raises(BuildError, match="is a link"):
        check_served(tree, ".sitewright/public")
