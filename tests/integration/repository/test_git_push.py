"""Pushing and cloning with real git clients."""

from __future__ import annotations

from sitewright.bus.messages import ChangesQuery, RepositoryQuery
from sitewright.testing.git_lab import GitLab


async def test_a_push_to_a_deployed_branch_shows_the_lines_and_moves_the_branch(lab: GitLab) -> None:
    folder = await lab.work_tree()
    commit = (await lab.git("rev-parse", "HEAD", cwd=folder)).output.strip()
    done = await lab.git("push", "origin", "main", cwd=folder)
    assert done.ok, done.output
    assert "remote: Building …" in done.output
    assert "remote: \x1b[32mLive.\x1b[0m" in done.output
    assert await lab.refs() == {"refs/heads/main": commit}
    assert lab.manager.asked[0].updates[0].new == commit
    assert not lab.manager.asked[0].updates[0].forced


async def test_a_failed_deployment_fails_the_push_and_leaves_the_branch_so_that_it_can_be_pushed_again(lab: GitLab) -> None:
    folder = await lab.work_tree()
    assert (await lab.git("push", "origin", "main", cwd=folder)).ok
    before = await lab.refs()
    await lab.commit(folder, {"index.html": "two"})
    lab.manager.fails = "The build failed."
    done = await lab.git("push", "origin", "main", cwd=folder)
    assert done.code != 0
    assert "The build failed." in done.output
    assert "[remote rejected] main -> main (not deployed: The build failed.)" in done.output
    assert await lab.refs() == before
    lab.manager.fails = ""
    assert (await lab.git("push", "origin", "main", cwd=folder)).ok


async def test_other_branches_and_tags_are_stored_moved_and_deleted(lab: GitLab) -> None:
    folder = await lab.work_tree()
    assert (await lab.git("tag", "-a", "v1", "-m", "one", cwd=folder)).ok
    done = await lab.git("push", "origin", "main", "main:try", "v1", cwd=folder)
    assert done.ok, done.output
    assert set(await lab.refs()) == {"refs/heads/main", "refs/heads/try", "refs/tags/v1"}
    found = await lab.repositories.refs(RepositoryQuery(site_id=lab.site, number=1))
    assert {ref.name for ref in found.refs} == {"refs/heads/main", "refs/heads/try", "refs/tags/v1"}
    assert len({ref.commit.id for ref in found.refs}) == 1
    assert found.refs[0].commit.author == "Alice <alice@example.org>"
    done = await lab.git("push", "origin", ":try", ":v1", cwd=folder)
    assert done.ok, done.output
    assert set(await lab.refs()) == {"refs/heads/main"}


async def test_a_forced_push_is_told_as_such(lab: GitLab) -> None:
    folder = await lab.work_tree()
    assert (await lab.git("push", "origin", "main", cwd=folder)).ok
    await lab.git("commit", "--amend", "-m", "again", cwd=folder)
    assert not (await lab.git("push", "origin", "main", cwd=folder)).ok
    done = await lab.git("push", "-f", "origin", "main", cwd=folder)
    assert done.ok, done.output
    assert [asked.updates[0].forced for asked in lab.manager.asked] == [False, True]


async def test_a_refused_reference_says_why_and_the_others_go_on(lab: GitLab) -> None:
    folder = await lab.work_tree()
    lab.manager.refused["refs/heads/try"] = "the channel is frozen"
    done = await lab.git("push", "-o", "stash", "origin", "main", "main:try", cwd=folder)
    assert not done.ok
    assert "try (the channel is frozen)" in done.output
    assert set(await lab.refs()) == {"refs/heads/main"}
    assert lab.manager.asked[0].options == ("stash",)


async def test_what_was_pushed_can_be_cloned_also_shallow(lab: GitLab) -> None:
    folder = await lab.work_tree()
    first = (await lab.git("rev-parse", "HEAD", cwd=folder)).output.strip()
    second = await lab.commit(folder, {"index.html": "two\n", "css/a.css": "a{}\n"}, "Two")
    assert (await lab.git("push", "origin", "main", cwd=folder)).ok
    for name, options in (("whole", ()), ("shallow", ("--depth=1",))):
        done = await lab.git("clone", "-q", *options, lab.address, name)
        assert done.ok, done.output
        assert (lab.folder / name / "index.html").read_text() == "two\n"
    found = (await lab.repositories.changes(ChangesQuery(site_id=lab.site, number=1, since=first, until=second))).changes
    assert [commit.subject for commit in found.commits] == ["Two"]
    assert {(file.path, file.kind, file.added, file.removed) for file in found.files} == {
        ("index.html", "M", 1, 1),
        ("css/a.css", "A", 1, 0),
    }


async def test_hidden_references_are_neither_shown_nor_pushed_to(lab: GitLab) -> None:
    folder = await lab.work_tree()
    done = await lab.git("push", "origin", "main:refs/sitewright/pushes/x", cwd=folder)
    assert not done.ok
    assert "hidden ref" in done.output
    assert lab.manager.asked == []


async def test_a_clone_checks_out_the_branch_that_there_is(lab: GitLab) -> None:
    folder = await lab.work_tree()
    assert (await lab.git("push", "origin", "main:master", cwd=folder)).ok
    assert (await lab.git("clone", "-q", lab.address, "copy")).ok
    assert (lab.folder / "copy/index.html").exists()


async def test_all_or_none_is_told_to_whoever_judges(lab: GitLab) -> None:
    folder = await lab.work_tree()
    lab.manager.deployed.clear()
    assert (await lab.git("push", "--atomic", "origin", "main", "main:try", cwd=folder)).ok
    assert lab.manager.asked[0].atomic
    assert set(await lab.refs()) == {"refs/heads/main", "refs/heads/try"}
