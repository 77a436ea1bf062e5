"""Caches: the one used longest ago goes first, and nothing that a tenant puts there leads out of it."""

from __future__ import annotations

import os
from pathlib import Path

from sitewright.builder.caches import Item, by_kind, clear, excess, folder_of, items, kept_archives, note_use, trim


def put(path: Path, size: int, used_at: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    for each in (path, *path.parents[:2]):
        os.utime(each, (used_at, used_at))


def test_what_was_used_longest_ago_goes_first_and_no_more_than_needed() -> None:
    found = [Item("npm", Path("npm"), 50, 30.0), Item("dependencies", Path("a.tar"), 40, 10.0), Item("uv", Path("uv"), 30, 20.0)]
    assert [item.path.name for item in excess(found, 120)] == []
    assert [item.path.name for item in excess(found, 100)] == ["a.tar"]
    assert [item.path.name for item in excess(found, 60)] == ["a.tar", "uv"]
    assert len(excess(found, 0)) == 3


def test_archives_of_dependencies_go_one_by_one(tmp_path: Path) -> None:
    own = folder_of(tmp_path, "production", foreign=False)
    put(own / "uv" / "wheels" / "w", 40_000, 3000.0)
    put(own / "dependencies" / "old.tar", 40_000, 1000.0)
    put(own / "dependencies" / "new.tar", 40_000, 2000.0)
    assert set(by_kind(items(tmp_path))) == {"dependencies", "uv"}
    assert kept_archives(own) == {"old", "new"}
    assert trim(tmp_path, 110_000) == 1
    assert kept_archives(own) == {"new"}


def test_what_was_taken_from_the_cache_goes_last(tmp_path: Path) -> None:
    own = folder_of(tmp_path, "production", foreign=False)
    put(own / "dependencies" / "old.tar", 40_000, 1000.0)
    put(own / "dependencies" / "new.tar", 40_000, 2000.0)
    note_use(own, "old")
    trim(tmp_path, 50_000)
    assert kept_archives(own) == {"old"}


def test_links_in_a_cache_are_deleted_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    put(outside / "precious.tar", 10_000, 1.0)
    cache = tmp_path / "cache"
    own = folder_of(cache, "production", foreign=False)
    own.mkdir(parents=True)
    (own / "dependencies").symlink_to(outside)
    (own / "npm").symlink_to(outside)
    assert kept_archives(own) == frozenset()
    note_use(own, "precious")
    assert sum(item.size for item in items(cache)) < 10_000
    clear(cache)
    assert (outside / "precious.tar").exists()
    assert items(cache) == []


def test_channels_of_foreign_code_have_a_folder_each(tmp_path: Path) -> None:
    folders = {folder_of(tmp_path, channel, foreign=foreign) for channel in ("a", "b") for foreign in (True, False)}
    assert len(folders) == 3
