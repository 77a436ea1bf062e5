"""Building a site from a commit of its own repository, or from a foreign one."""

from __future__ import annotations

import subprocess
from collections.abc import Awaitable

import pytest

from sitewright.bus.messages import Author, CommitSource, GitSource
from sitewright.engines.base import JobResult, JobSpec
from sitewright.testing.git_lab import GitLab
from sitewright.testing.workbench import Workbench, archive_of


async def pushed(lab: GitLab, files: dict[str, str | bytes], name: str = "alice") -> str:
    folder = await lab.work_tree(name, **files)
    done = await lab.git("push", "origin", "main", cwd=folder)
    assert done.ok, done.output
    return (await lab.git("rev-parse", "HEAD", cwd=folder)).output.strip()


async def test_a_pushed_commit_is_built(lab: GitLab, bench: Workbench) -> None:
    commit = await pushed(lab, {"index.html": "<h1>one</h1>", "css/a b.css": "a{}", "ümlaut/ž.txt": "x"})
    status = await bench.build(bench.request(CommitSource(commit=commit, branch="main")))
    assert not status.problem, bench.log(status)
    assert status.commit == commit
    assert (bench.release() / "index.html").read_text() == "<h1>one</h1>"
    assert (bench.release() / "ümlaut/ž.txt").read_text() == "x"
    assert not (bench.release() / ".git").exists()


async def test_a_commit_that_is_not_there_says_so(lab: GitLab, bench: Workbench) -> None:
    await pushed(lab, {"index.html": "x"})
    status = await bench.build(bench.request(CommitSource(commit="a" * 40)))
    assert status.problem == "There is no such commit in the site's repository."


async def test_a_link_that_leads_out_is_refused_and_one_inside_is_kept(lab: GitLab, bench: Workbench) -> None:
    folder = await lab.work_tree("alice", **{"index.html": "x"})
    (folder / "inner").symlink_to("index.html")
    await lab.commit(folder, {})
    assert (await lab.git("push", "origin", "main", cwd=folder)).ok
    commit = (await lab.git("rev-parse", "HEAD", cwd=folder)).output.strip()
    status = await bench.build(bench.request(CommitSource(commit=commit)))
    assert not status.problem, bench.log(status)
    assert (bench.release() / "inner").read_text() == "x"
    (folder / "outer").symlink_to("../../../../etc/passwd")
    commit = await lab.commit(folder, {})
    assert (await lab.git("push", "origin", "main", cwd=folder)).ok
    status = await bench.build(bench.request(CommitSource(commit=commit), release=2))
    assert status.problem == "The commit has a link that leads out of its folder."
    assert "outer" in status.details


async def test_pointers_of_git_lfs_are_refused_with_a_clear_word(lab: GitLab, bench: Workbench) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 12345\n"
    commit = await pushed(lab, {"index.html": "x", ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n", "big.bin": pointer})
    status = await bench.build(bench.request(CommitSource(commit=commit)))
    assert status.problem == "Git LFS is not supported."
    assert "big.bin" in status.details


async def test_a_tree_that_names_itself_ten_times_over_is_refused_before_it_is_written(lab: GitLab, bench: Workbench) -> None:
    folder = await lab.work_tree()

    def git(*arguments: str, told: bytes = b"") -> str:
        done = subprocess.run(("git", *arguments), cwd=folder, input=told, capture_output=True, check=True)
        return done.stdout.decode().strip()

    tree = git("mktree", told=b"100644 blob " + git("hash-object", "-w", "--stdin", told=b"x").encode() + b"\tfile\n")
    for _ in range(10):
        tree = git("mktree", told=b"".join(b"040000 tree %s\t%02d\n" % (tree.encode(), n) for n in range(10)))
    git("-c", "user.name=A", "-c", "user.email=a@example.org", "update-ref", "refs/heads/main", git("commit-tree", "-m", "x", tree))
    done = await lab.git("push", "origin", "main", cwd=folder)
    assert done.ok, done.output
    commit = git("rev-parse", "main")
    status = await bench.build(bench.request(CommitSource(commit=commit)))
    assert "more than 100,000 files" in status.problem


@pytest.mark.parametrize("url", ["ext::sh -c touch% /app/owned", "ssh://git@example.org/x.git", "../other.git", "file:///etc", "-u"])
async def test_submodules_come_from_https_only(lab: GitLab, bench: Workbench, url: str) -> None:
    folder = await lab.work_tree("alice", **{"index.html": "x", ".gitmodules": f'[submodule "a"]\n\tpath = a\n\turl = "{url}"\n'})
    done = await lab.git("update-index", "--add", "--cacheinfo", f"160000,{'a' * 40},a", cwd=folder)
    assert done.ok, done.output
    await lab.git("commit", "-q", "-m", "module", cwd=folder)
    commit = (await lab.git("rev-parse", "HEAD", cwd=folder)).output.strip()
    done = await lab.git("push", "origin", "main", cwd=folder)
    if not done.ok:
        assert "gitmodulesUrl" in done.output
        return
    status = await bench.build(bench.request(CommitSource(commit=commit)))
    assert status.problem
    assert not (bench.release() / "owned").exists()


async def test_a_submodule_is_fetched_at_its_commit(lab: GitLab, bench: Workbench) -> None:
    other = await lab.work_tree("other", **{"lib.js": "one"})
    first = (await lab.git("rev-parse", "HEAD", cwd=other)).output.strip()
    await lab.commit(other, {"lib.js": "two"})
    folder = await lab.work_tree(
        "alice", **{"index.html": "x", ".gitmodules": f'[submodule "lib"]\n\tpath = lib\n\turl = file://{other}/.git\n'}
    )
    await lab.git("update-index", "--add", "--cacheinfo", f"160000,{first},lib", cwd=folder)
    await lab.git("commit", "-q", "-m", "module", cwd=folder)
    commit = (await lab.git("rev-parse", "HEAD", cwd=folder)).output.strip()
    assert (await lab.git("push", "origin", "main", cwd=folder)).ok
    status = await bench.build(bench.request(CommitSource(commit=commit)))
    assert not status.problem, bench.log(status) + status.details
    assert (bench.release() / "lib/lib.js").read_text() == "one"


async def test_a_site_from_a_git_address_has_its_commit_in_its_own_repository(lab: GitLab, bench: Workbench) -> None:
    other = await lab.work_tree("other", **{"index.html": "foreign"})
    commit = (await lab.git("rev-parse", "HEAD", cwd=other)).output.strip()
    for number, ref in enumerate(("", "main", commit), start=1):
        status = await bench.build(bench.request(GitSource(url=f"file://{other}/.git", ref=ref), release=number))
        assert not status.problem, bench.log(status) + status.details
        assert status.commit == commit
        assert (bench.release(number) / "index.html").read_text() == "foreign"
    again = await bench.build(bench.request(CommitSource(commit=commit), release=4))
    assert not again.problem


async def test_an_upload_is_kept_as_a_commit(lab: GitLab, bench: Workbench) -> None:
    author = Author(name="Alice", email="alice@example.org", message="Uploaded site.zip")
    source = bench.upload(archive_of({"index.html": "up", "node_modules/x/y.js": "no"}))
    status = await bench.build(bench.request(source, record=author))
    assert not status.problem, bench.log(status)
    shown = await lab.git("--git-dir", str(lab.repository), "log", "-1", "--format=%an <%ae> %cn %s", status.commit)
    assert shown.output.strip() == "Alice <alice@example.org> Sitewright Uploaded site.zip"
    files = await lab.git("--git-dir", str(lab.repository), "ls-tree", "-r", "--name-only", status.commit)
    assert files.output.split() == ["index.html"]
    again = await bench.build(bench.request(source, record=author, record_parent=status.commit, release=2))
    assert again.commit == status.commit


async def test_a_static_sites_commit_is_laid_out_and_packed_in_one_box(
    lab: GitLab, bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = await pushed(lab, {"index.html": "<h1>one</h1>", "css/site.css": "a{}"})
    jobs = []
    run = bench.engine.run

    async def counted(job: JobSpec, cancelled: Awaitable[None] | None = None) -> JobResult:
        jobs.append(job.box.command)
        return await run(job, cancelled)

    monkeypatch.setattr(bench.engine, "run", counted)
    status = await bench.build(bench.request(CommitSource(commit=commit)))
    assert not status.problem, bench.log(status)
    assert len(jobs) == 1, jobs
    upload = bench.upload(archive_of({"index.html": "<h1>one</h1>", "css/site.css": "a{}"}))
    again = await bench.build(bench.request(upload, release=2))
    assert again.droplet == status.droplet, "the same tree is the same droplet, however it came"


async def test_a_static_site_that_is_too_large_is_refused_from_the_same_box(lab: GitLab, bench: Workbench) -> None:
    commit = await pushed(lab, {"index.html": "x" * 5000})
    status = await bench.build(bench.request(CommitSource(commit=commit)).model_copy(update={"quota_bytes": 1000}))
    assert "larger than" in status.problem
    assert not bench.release().exists()
