"""Repositories and pushes that mean harm."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from sitewright.bus.messages import ChangesQuery, RefMove, RepositoryQuery
from sitewright.domain.git import RefUpdate
from sitewright.errors import ConflictError, InvalidValueError, NotFoundError
from sitewright.system.accounts import tenant_uid
from sitewright.testing.git_lab import GitLab, git_lab
from sitewright.testing.waiting import eventually


def raw(folder: Path, *arguments: str, told: bytes = b"") -> str:
    done = subprocess.run(
        ("git", "-c", "user.name=A", "-c", "user.email=a@b.c", *arguments), cwd=folder, input=told, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def tree_of(folder: Path, *entries: tuple[str, bytes, bytes]) -> str:
    """A commit of a tree with entries (mode, name, content) that git itself would not make."""
    lines = b""
    for mode, name, content in entries:
        made = raw(folder, "hash-object", "-w", "--stdin", told=content)
        lines += mode.encode() + b" " + name + b"\0" + bytes.fromhex(made)
    tree = raw(folder, "hash-object", "-t", "tree", "-w", "--literally", "--stdin", told=lines)
    return raw(folder, "commit-tree", "-m", "x", tree)


@pytest.mark.parametrize("name", [b".git", b".GIT", b"git~1", b".git ", ".g\u200cit".encode(), b".."])
async def test_names_that_git_would_follow_are_refused(lab: GitLab, name: bytes) -> None:
    folder = await lab.work_tree()
    commit = tree_of(folder, ("100644", name, b"x"))
    done = await lab.git("push", "origin", f"{commit}:refs/heads/main", cwd=folder)
    assert not done.ok
    assert lab.manager.asked == []
    assert await lab.refs() == {}


async def test_a_gitmodules_file_that_is_a_link_is_refused(lab: GitLab) -> None:
    folder = await lab.work_tree()
    commit = tree_of(folder, ("120000", b".gitmodules", b"/etc/passwd"))
    assert not (await lab.git("push", "origin", f"{commit}:refs/heads/main", cwd=folder)).ok


async def test_odd_but_harmless_names_are_shown_without_harm(lab: GitLab) -> None:
    folder = await lab.work_tree()
    first = raw(folder, "rev-parse", "HEAD")
    commit = tree_of(folder, ("100644", b"a\nb\x1b[31m\xff", b"x"))
    done = await lab.git("push", "-f", "origin", f"{commit}:refs/heads/odd", f"{first}:refs/heads/plain", cwd=folder)
    assert done.ok, done.output
    query = ChangesQuery(site_id=lab.site, number=1, since=first, until=commit)
    files = (await lab.repositories.changes(query)).changes.files
    assert all(file.path.isprintable() for file in files)


async def test_hooks_and_configuration_in_the_repository_have_no_effect(lab: GitLab) -> None:
    folder = await lab.work_tree()
    assert (await lab.git("push", "origin", "main", cwd=folder)).ok
    uid = tenant_uid(lab.settings.uid_base, 1)
    hooks = lab.repository / "hooks"
    hooks.mkdir()
    for name in ("pre-receive", "update", "post-receive", "reference-transaction", "post-update"):
        (hooks / name).write_text("#!/bin/sh\ntouch /repo.git/owned\n")
        (hooks / name).chmod(0o755)
    (lab.repository / "config").write_text(
        "[core]\n\tbare = true\n\tfsmonitor = touch /repo.git/owned\n\thooksPath = /repo.git/hooks\n"
        "[uploadpack]\n\tpackObjectsHook = touch /repo.git/owned\n"
    )
    for path in (hooks, *hooks.iterdir(), lab.repository / "config"):
        os.chown(path, uid, uid)
    await lab.commit(folder, {"index.html": "two"})
    assert (await lab.git("push", "origin", "main", cwd=folder)).ok
    assert (await lab.git("clone", "-q", lab.address, "copy")).ok
    assert not (lab.repository / "owned").exists()


async def test_too_many_references_in_one_push_are_refused(lab: GitLab) -> None:
    folder = await lab.work_tree()
    commit = raw(folder, "rev-parse", "HEAD")
    raw(folder, "update-ref", "--stdin", told=b"".join(b"create refs/heads/b%05d %s\n" % (n, commit.encode()) for n in range(2500)))
    done = await lab.git("push", "-q", "origin", "refs/heads/b*:refs/heads/b*", cwd=folder)
    assert not done.ok
    assert "more than 2,000 branches and tags in one push" in done.output
    assert await lab.refs() == {}
    assert lab.manager.asked == []


def spoken(*lines: bytes) -> bytes:
    return b"".join(b"%04x%s" % (len(line) + 4, line) for line in lines) + b"0000"


def pack_of(folder: Path, *commits: str) -> bytes:
    told = "".join(f"{commit}\n" for commit in commits).encode()
    argv = ("git", "pack-objects", "--stdout", "--revs", "-q")
    return subprocess.run(argv, cwd=folder, input=told, capture_output=True, check=True).stdout


async def lie(lab: GitLab, folder: Path, *updates: tuple[str, str, str]) -> str:
    """Push as a client that says of the references what it likes; what git answers."""
    reader, writer = await asyncio.open_unix_connection(str(lab.folder / "door"))
    writer.write(f"git@door git-receive-pack '/{lab.site}'\n".encode())
    lines = [" ".join(update).encode() for update in updates]
    writer.write(spoken(lines[0] + b"\0report-status", *lines[1:]) + pack_of(folder, *(new for _, new, _ in updates)))
    writer.write_eof()
    said = await asyncio.wait_for(reader.read(-1), 30)
    writer.close()
    return said.decode(errors="replace")


async def test_a_client_that_calls_a_forced_push_an_addition_gets_nothing_deployed(lab: GitLab) -> None:
    folder = await lab.work_tree()
    assert (await lab.git("push", "origin", "main", cwd=folder)).ok
    before = await lab.refs()
    other = tree_of(folder, ("100644", b"index.html", b"mine"))
    asked = len(lab.manager.asked)
    for packed in (False, True):
        if packed:
            uid = tenant_uid(lab.settings.uid_base, 1)
            raw(lab.repository, "-c", "safe.directory=*", "pack-refs", "--all")
            os.chown(lab.repository / "packed-refs", uid, uid)
        said = await lie(lab, folder, ("0" * 40, other, "refs/heads/main"))
        assert "it was moved meanwhile; fetch first" in said
    assert len(lab.manager.asked) == asked
    assert await lab.refs() == before


async def test_a_reference_that_is_named_twice_is_refused(lab: GitLab) -> None:
    folder = await lab.work_tree()
    first = raw(folder, "rev-parse", "HEAD")
    other = tree_of(folder, ("100644", b"index.html", b"mine"))
    said = await lie(lab, folder, ("0" * 40, first, "refs/heads/main"), ("0" * 40, other, "refs/heads/main"))
    assert "ng refs/heads/main" in said
    assert await lab.refs() == {}
    assert lab.manager.asked == []


async def test_names_that_are_very_long_are_refused_and_the_others_stored(lab: GitLab) -> None:
    folder = await lab.work_tree()
    done = await lab.git("push", "origin", f"main:refs/heads/{'x' * 120}/{'y' * 150}", "main:refs/heads/fine", cwd=folder)
    assert not done.ok
    assert "the name cannot be shown or is too long" in done.output
    assert set(await lab.refs()) == {"refs/heads/fine"}


async def test_a_push_that_is_larger_than_the_repository_may_be_is_refused_and_leaves_nothing() -> None:
    async with git_lab(repository_mb=16) as lab:
        folder = await lab.work_tree("alice", big=os.urandom(20_000_000))
        done = await lab.git("push", "origin", "main", cwd=folder)
        assert not done.ok
        assert "exceeds maximum allowed size" in done.output

        async def clean() -> bool:
            return sum(path.stat().st_size for path in lab.repository.rglob("*") if path.is_file()) < 100_000

        await eventually(clean, 20)
        await lab.git("rm", "-q", "--cached", "big", cwd=folder)
        await lab.git("commit", "-q", "--amend", "--allow-empty", "-m", "small", cwd=folder)
        done = await lab.git("push", "origin", "main", cwd=folder)
        assert done.ok, done.output


@pytest.mark.parametrize("bound", ["MOST_OF_A_SITE", "MOST_OF_A_PERSON", "MOST_IN_ALL"])
async def test_connections_of_one_site_and_of_one_person_are_bounded(lab: GitLab, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    monkeypatch.setattr(f"sitewright.repository.sessions.{bound}", 0)
    folder = await lab.work_tree()
    done = await lab.git("push", "origin", "main", cwd=folder)
    assert not done.ok
    assert "Too many git connections are open." in done.output


async def test_a_client_that_does_nothing_is_ended(lab: GitLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sitewright.repository.sessions.IDLE_SECONDS", 0.3)
    monkeypatch.setattr("sitewright.repository.sessions.LOOK_SECONDS", 0.1)
    reader, writer = await asyncio.open_unix_connection(str(lab.folder / "door"))
    writer.write(f"git@door git-receive-pack '/{lab.site}'\n".encode())
    assert await asyncio.wait_for(reader.read(5), 20)
    while await asyncio.wait_for(reader.read(65536), 20):
        pass
    writer.close()
    assert len(lab.repositories.sessions) == 0


async def test_references_are_moved_all_or_none(lab: GitLab) -> None:
    folder = await lab.work_tree()
    first = raw(folder, "rev-parse", "HEAD")
    second = await lab.commit(folder, {"index.html": "two"})
    assert (await lab.git("push", "origin", "main:one", "main:two", cwd=folder)).ok

    async def move(*updates: RefUpdate) -> None:
        await lab.repositories.move(RefMove(site_id=lab.site, number=1, updates=updates))

    with pytest.raises(ConflictError, match="refs/heads/two"):
        await move(RefUpdate("refs/heads/one", second, first), RefUpdate("refs/heads/two", first, second))
    assert await lab.refs() == {"refs/heads/one": second, "refs/heads/two": second}
    updates = RefUpdate("refs/heads/one", second, first), RefUpdate("refs/heads/two", second, ""), RefUpdate("refs/heads/new", "", first)
    await move(*updates)
    await move(*updates)
    assert await lab.refs() == {"refs/heads/one": first, "refs/heads/new": first}
    with pytest.raises(NotFoundError):
        await move(RefUpdate("refs/heads/one", first, "a" * 40))
    with pytest.raises(InvalidValueError):
        await move(RefUpdate("refs/heads/../../x", "", first))


async def test_a_repository_that_is_full_takes_no_push() -> None:
    async with git_lab(repository_mb=16) as lab:
        folder = await lab.work_tree("alice", some=os.urandom(9_000_000))
        assert (await lab.git("push", "origin", "main", cwd=folder)).ok
        await lab.commit(folder, {"more": os.urandom(7_600_000)})
        await lab.git("push", "origin", "main", cwd=folder)
        (lab.repository / "junk").write_bytes(bytes(9_000_000))
        place = lab.repositories.places.of(lab.site, 1)
        await lab.repositories.places.size(place)
        await lab.commit(folder, {"x": "y"})
        done = await lab.git("push", "origin", "main", cwd=folder)
        assert "The repository takes the 16 MB that it may." in done.output
        assert (await lab.git("clone", "-q", lab.address, "copy")).ok
        found = await lab.repositories.refs(RepositoryQuery(site_id=lab.site, number=1))
        assert found.size_bytes > 16_000_000
