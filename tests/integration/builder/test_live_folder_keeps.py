"""What a live folder holds and no commit does: it outlives whatever is laid over the folder."""

from __future__ import annotations

import os
from pathlib import Path

from sitewright.builder.ignored import take_along
from sitewright.testing.workbench import ALICE_SITE, Workbench, archive_of

FIRST = {"index.html": "one", ".gitignore": "db.sqlite3\nnotes/\n*.link\nnode_modules/\n"}


async def test_files_that_gitignore_names_outlive_what_is_laid_over_the_folder(workbench: Workbench) -> None:
    assert not (await workbench.build(workbench.request(workbench.upload(archive_of(FIRST)), mode="live"))).problem
    folder = workbench.settings.paths.live_folder(ALICE_SITE, "production")
    owner = folder.stat().st_uid
    for name in ("notes", "notes/deep", "node_modules"):
        (folder / name).mkdir()
        os.chown(folder / name, owner, owner)
    for name in ("db.sqlite3", "notes/deep/a.txt", "node_modules/x.js", "edited.txt"):
        (folder / name).write_text("precious")
        os.chown(folder / name, owner, owner)
    (folder / "out.link").symlink_to("/etc/passwd")
    writing = (folder / "db.sqlite3").open("a")
    done = await workbench.build(workbench.request(workbench.upload(archive_of({**FIRST, "index.html": "two"})), mode="live"))
    assert not done.problem
    assert (folder / "index.html").read_text() == "two"
    with writing:
        writing.write(", still written to by the old process")
    assert (folder / "db.sqlite3").read_text() == "precious, still written to by the old process"
    assert (folder / "notes/deep/a.txt").read_text() == "precious"
    assert (folder / "notes").stat().st_uid == (folder / "db.sqlite3").stat().st_uid == owner
    assert not any(os.path.lexists(folder / name) for name in ("node_modules", "edited.txt", "out.link"))


def test_nothing_is_taken_from_behind_a_link_or_put_over_what_is_there(tmp_path: Path) -> None:
    for name in ("live", "tree", "secret"):
        (tmp_path / name).mkdir()
    (tmp_path / "secret" / "a").write_text("secret")
    (tmp_path / "live" / "behind").symlink_to(tmp_path / "secret")
    (tmp_path / "live" / "a").write_text("old")
    (tmp_path / "live" / "to").mkdir()
    (tmp_path / "live" / "to" / "a").write_text("old")
    (tmp_path / "tree" / "a").write_text("new")
    (tmp_path / "tree" / "to").symlink_to(tmp_path / "secret")
    names = ("behind/a", "a", "to/a", "../secret/a", "/etc/passwd", "to", "nowhere")
    assert take_along(tmp_path / "live", tmp_path / "tree", names, (os.getuid(), os.getgid())) == 0
    assert (tmp_path / "tree" / "a").read_text() == "new"
    assert (tmp_path / "secret" / "a").read_text() == "secret"
    assert sorted(path.name for path in (tmp_path / "tree").iterdir()) == ["a", "to"]
