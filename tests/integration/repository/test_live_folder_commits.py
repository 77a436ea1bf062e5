"""Edits of a live folder: told, committed, never half."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sitewright.bus.messages import Author, EditsQuery, PublishEdits
from sitewright.errors import ConflictError, NotFoundError
from sitewright.system.accounts import tenant_uid
from sitewright.system.ownership import make_site_folders
from sitewright.testing.git_lab import GitLab

ALICE = Author(name="Alice", email="alice@example.org", message="Edited in the browser")


def live(lab: GitLab, files: dict[str, str]) -> Path:
    uid = tenant_uid(lab.settings.uid_base, 1)
    make_site_folders(lab.settings.paths, lab.site, "production", uid)
    folder = lab.settings.paths.live_folder(lab.site, "production")
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        for each in (path, *path.relative_to(folder).parents):
            os.chown(folder / each, uid, uid)
    return folder


def publishing(lab: GitLab, parent: str = "", branch: str = "main") -> PublishEdits:
    return PublishEdits(site_id=lab.site, number=1, channel="production", branch=branch, parent=parent, author=ALICE)


def looking(lab: GitLab, commit: str = "") -> EditsQuery:
    return EditsQuery(site_id=lab.site, number=1, channel="production", commit=commit)


async def test_edits_are_told_and_published_and_gone_then(lab: GitLab) -> None:
    folder = live(lab, {"index.html": "one", "node_modules/a.js": "no", ".venv/x": "no", "secret.txt": "no", ".gitignore": "secret.txt\n"})
    edits = await lab.repositories.folders.edits(looking(lab))
    assert edits.files == (("A", ".gitignore"), ("A", "index.html"))
    first = await lab.repositories.folders.publish(publishing(lab))
    assert first.files == 2
    assert await lab.refs() == {"refs/heads/main": first.commit}
    assert (await lab.repositories.folders.edits(looking(lab, first.commit))).files == ()
    assert (await lab.repositories.folders.publish(publishing(lab, first.commit))).commit == first.commit
    (folder / "index.html").write_text("two")
    (folder / ".gitignore").unlink()
    edits = await lab.repositories.folders.edits(looking(lab, first.commit))
    assert edits.files == (("D", ".gitignore"), ("M", "index.html"), ("A", "secret.txt"))


async def test_a_branch_that_was_moved_meanwhile_stays(lab: GitLab) -> None:
    folder = live(lab, {"index.html": "one"})
    first = await lab.repositories.folders.publish(publishing(lab))
    (folder / "index.html").write_text("two")
    second = await lab.repositories.folders.publish(publishing(lab, first.commit))
    (folder / "index.html").write_text("three")
    with pytest.raises(ConflictError):
        await lab.repositories.folders.publish(publishing(lab, first.commit))
    assert await lab.refs() == {"refs/heads/main": second.commit}
    assert (folder / "index.html").read_text() == "three"
    stashed = await lab.repositories.folders.publish(publishing(lab, second.commit, branch=""))
    assert stashed.commit != second.commit
    assert await lab.refs() == {"refs/heads/main": second.commit}


async def test_a_commit_that_is_not_there_says_so(lab: GitLab) -> None:
    live(lab, {"index.html": "one"})
    with pytest.raises(NotFoundError):
        await lab.repositories.folders.edits(looking(lab, "a" * 40))
