"""What is sent of a folder: by git's own rules, proven against git."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sitewright.cli.ignore import walk

RULES = """*.log
!keep.log
/build
docs/*.tmp
**/deep/x
cache/
a?c
[0-9].txt
foo/**/bar
\\#odd
# comment
!docs/important.tmp
"""
FILES = """app.py keep.log other.log build/x sub/build/x docs/a.tmp docs/important.tmp docs/sub/a.tmp p/deep/x deep/x cache/f sub/cache/f
abc
sub/axc 1.txt 12.txt foo/bar foo/a/b/bar #odd trail sub/inner.secret sub/other"""


def make(root: Path, names: list[str]) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def test_the_same_files_are_taken_as_git_would_take(tmp_path: Path) -> None:
    make(tmp_path, FILES.split())
    (tmp_path / ".gitignore").write_text(RULES)
    (tmp_path / "sub" / ".gitignore").write_text("*.secret\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    listed = subprocess.run(
        ["git", "-c", "core.excludesFile=", "ls-files", "-z", "--others", "--exclude-per-directory=.gitignore"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert sorted(walk(tmp_path)) == sorted(name for name in listed.split("\0") if name)


@pytest.mark.parametrize("name", [".git/config", "node_modules/a.js", ".venv/x", "sub/__pycache__/a.pyc", "env/pyvenv.cfg"])
def test_what_never_belongs_into_a_source_is_left_out(tmp_path: Path, name: str) -> None:
    make(tmp_path, [name, "index.html"])
    assert list(walk(tmp_path)) == ["index.html"]


def test_sitewrightignore_wins_over_gitignore(tmp_path: Path) -> None:
    make(tmp_path, ["a.log", "b.log"])
    (tmp_path / ".gitignore").write_text("*.log\n")
    (tmp_path / ".sitewrightignore").write_text("!a.log\n")
    assert list(walk(tmp_path)) == [".gitignore", ".sitewrightignore", "a.log"]


def test_links_are_sent_and_not_followed(tmp_path: Path) -> None:
    make(tmp_path, ["real/file"])
    (tmp_path / "link").symlink_to("real")
    assert list(walk(tmp_path)) == ["link", "real/file"]
