"""Folders that somebody has nested deeper than paths reach are counted as too much, and can be deleted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sitewright.system.disk import occupied
from sitewright.system.files import remove_tree

DEPTH = 3000


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    top = tmp_path / "top"
    top.mkdir()
    folder = os.open(top, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir("folder", dir_fd=folder)
        inner = os.open("folder", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=folder))
    os.close(folder)
    return top


def test_a_very_deep_folder_is_deleted_without_following_links(deep: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (deep / "link").symlink_to(tmp_path / "kept")
    (deep / "folder" / "link").symlink_to(tmp_path / "kept")
    remove_tree(deep)
    assert not deep.exists()
    assert (tmp_path / "kept" / "file").exists()
    remove_tree(deep)


def test_a_link_in_the_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to("kept")
    with pytest.raises(OSError, match="link"):
        remove_tree(tmp_path / "link")
    assert (tmp_path / "kept").is_dir()


def test_what_is_hidden_too_deep_counts_as_too_much(deep: Path) -> None:
    assert occupied(deep, 1024**3) > 1024**3
    remove_tree(deep)


def test_files_and_folders_count_what_they_take(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(os.urandom(100_000))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").touch()
    assert 100_000 <= occupied(tmp_path, 1024**3) <= 130_000
    assert occupied(tmp_path, 10) <= 150_000
