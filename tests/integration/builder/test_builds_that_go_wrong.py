"""Clear errors; what ran before is untouched; nothing of another site or of the machine is in reach."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from sitewright.bus.messages import BuildStatus, FolderSource, GitSource, TemplateSource
from sitewright.domain.desired import DesiredChannel
from sitewright.domain.release import Release
from sitewright.domain.states import BuildState, Mode
from sitewright.errors import NotFoundError
from sitewright.system.ownership import make_site_folders
from sitewright.testing.waiting import eventually
from sitewright.testing.workbench import BOB_SITE, Workbench, archive_of

Files = dict[str, str | bytes]


async def build(workbench: Workbench, files: Files, **more: object) -> BuildStatus:
    return await workbench.build(workbench.request(workbench.upload(archive_of(files)), **more))


def node_build(script: str) -> Files:
    return {"package.json": json.dumps({"scripts": {"build": script}})}


async def test_a_package_that_does_not_exist_is_named(workbench: Workbench) -> None:
    status = await build(workbench, {"requirements.txt": "flask\nthis-package-is-not-there-93481\n", "app.py": "app = Flask(1)"})
    assert status.state is BuildState.FAILED
    assert "this-package-is-not-there-93481" in status.problem
    assert status.resolution


async def test_a_wish_for_another_python_is_explained(workbench: Workbench) -> None:
    files: Files = {
        "pyproject.toml": '[project]\nname="x"\nversion="0"\nrequires-python=">=3.99"\ndependencies=["flask"]\n',
        "app.py": "app = Flask(1)",
    }
    status = await build(workbench, files)
    assert "needs Python >=3.99" in status.problem


async def test_a_failed_build_leaves_the_release_before_it(workbench: Workbench) -> None:
    assert (await build(workbench, {"index.html": "one"})).state is BuildState.SUCCEEDED
    failed = await build(workbench, node_build("echo broken >&2; exit 3"), release=2)
    assert failed.state is BuildState.FAILED
    assert "broken" in failed.details
    assert (workbench.release(1) / "index.html").read_text() == "one"
    assert not workbench.release(2).exists()
    assert not (workbench.settings.paths.builds / failed.build_id / "work").exists()


async def test_a_build_sees_neither_data_nor_other_sites_nor_the_platform(workbench: Workbench) -> None:
    await build(workbench, {"index.html": "Bob's"}, site=BOB_SITE, number=2)
    home = workbench.settings.home
    looks = f"exec 2>&1; ls {home} /data /root /work {home}/sites/{BOB_SITE}; cat /etc/shadow; echo running as $(id -u);"
    looks += "mkdir dist; touch dist/index.html"
    status = await build(workbench, node_build(looks))
    log = workbench.log(status)
    assert status.state is BuildState.SUCCEEDED, log
    assert f"cannot access '{home}'" in log
    assert "cannot access '/data'" in log
    assert "root:" not in log
    assert "running as 0" not in log


async def test_secrets_of_the_platform_are_not_in_a_builds_environment(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SITEWRIGHT_TEST_SECRET", "swordfish")
    status = await build(workbench, node_build("env; mkdir dist; touch dist/index.html"), env=(("COLOUR", "green"),))
    assert "COLOUR=green" in workbench.log(status)
    assert "swordfish" not in workbench.log(status)


async def test_a_site_over_its_quota_is_refused(workbench: Workbench) -> None:
    status = await build(workbench, {"index.html": "x" * 200_000}, quota_bytes=100_000)
    assert status.state is BuildState.FAILED
    assert "larger than" in status.problem


@pytest.mark.parametrize(
    "fill",
    [
        "exec 3>big; rm big; head -c 90000000 /dev/zero >&3",
        "python3 -c 'for n in range(20000): open(str(n), \"w\").close()'",
    ],
    ids=["deleted but open", "empty files"],
)
async def test_a_build_that_fills_the_disk_in_a_hidden_way_is_ended(workbench: Workbench, fill: str) -> None:
    status = await build(workbench, node_build(f"{fill}; sleep 60; mkdir dist; touch dist/index.html"), quota_bytes=1_000_000)
    assert status.state is BuildState.FAILED
    assert "larger than" in status.problem, workbench.log(status)


async def test_folders_nested_too_deep_to_name_are_cleared_away(workbench: Workbench) -> None:
    files = node_build("python3 nest.py; exit 1")
    files["nest.py"] = "import os\nfor _ in range(3000):\n    os.mkdir('x')\n    os.chdir('x')\n"
    status = await build(workbench, files)
    assert status.state is BuildState.FAILED
    folder = workbench.settings.paths.builds / status.build_id
    assert not (folder / "work").exists()

    async def cleared() -> bool:
        return not [entry for entry in folder.iterdir() if entry.is_dir()]

    await eventually(cleared, 60)


async def test_links_that_a_build_makes_do_not_show_the_machine(workbench: Workbench) -> None:
    script = "mkdir dist; echo hi > dist/index.html; ln -s /etc/passwd dist/leak; ln -s / dist/root; mkfifo dist/pipe; chmod 000 dist"
    status = await build(workbench, node_build(script))
    assert status.state is BuildState.SUCCEEDED, workbench.log(status)
    assert (workbench.release() / "dist/leak").is_symlink()
    assert not (workbench.release() / "dist/pipe").exists()


async def test_a_tree_that_links_its_own_procfile_elsewhere_is_not_followed(workbench: Workbench) -> None:
    shared = workbench.settings.paths.live_folder("asite2222222", "production")
    request = workbench.request(FolderSource(), mode="live")
    make_site_folders(workbench.settings.paths, "asite2222222", "production", workbench.settings.uid_base + 1)
    (shared / "index.html").write_text("hi")
    (shared / "Procfile").symlink_to("/etc/passwd")
    status = await workbench.build(request)
    assert status.state is BuildState.SUCCEEDED, workbench.log(status)
    assert status.blueprint is not None
    assert status.blueprint.is_static


async def test_a_build_is_cancelled_with_everything_it_started(workbench: Workbench) -> None:
    request = workbench.request(workbench.upload(archive_of(node_build("sleep 300 & sleep 301"))))
    await workbench.builder.start(request)

    async def sleeping() -> bool:
        return "Building …" in workbench.log(BuildStatus(build_id=request.build_id, state=BuildState.RUNNING))

    await eventually(sleeping, 20)
    assert (await workbench.builder.cancel(request.build_id)).state is BuildState.CANCELLED


async def test_a_flood_of_output_costs_its_owner_log_lines(workbench: Workbench) -> None:
    status = await build(workbench, node_build("yes 'spam spam spam' | head -c 60000000; mkdir dist; touch dist/index.html"))
    assert status.state is BuildState.SUCCEEDED
    assert workbench.builder.log_path(status.build_id).stat().st_size < 6 * 1024 * 1024


async def test_git_brings_the_commit_and_no_history(workbench: Workbench, tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        done = subprocess.run(
            ("git", "-C", str(tmp_path / "repo"), "-c", "user.name=Alice", "-c", "user.email=alice@example.org", *arguments),
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip()

    (tmp_path / "repo").mkdir()
    git("init", "--quiet", "--initial-branch=main")
    (tmp_path / "repo/index.html").write_text("from git")
    git("add", ".")
    git("commit", "--quiet", "--message=one")
    commit = git("rev-parse", "HEAD")
    (tmp_path / "repo/index.html").write_text("newer")
    git("commit", "--quiet", "--all", "--message=two")
    address = f"file://{tmp_path}/repo"
    newest = await workbench.build(workbench.request(GitSource(url=address)))
    assert newest.state is BuildState.SUCCEEDED, workbench.log(newest)
    assert (workbench.release() / "index.html").read_text() == "newer"
    assert not (workbench.release() / ".git").exists()
    older = await workbench.build(workbench.request(GitSource(url=address, ref=commit), release=2))
    assert older.commit == commit, workbench.log(older)
    assert (workbench.release(2) / "index.html").read_text() == "from git"
    missing = await workbench.build(workbench.request(GitSource(url=address, ref="nowhere"), release=3))
    assert "does not exist" in missing.problem
    hostile = await workbench.build(workbench.request(GitSource(url="ext::sh -c id"), release=4))
    assert "not an address" in hostile.problem


async def test_a_live_folder_is_built_in_place_and_a_new_source_replaces_it(workbench: Workbench) -> None:
    first = await workbench.build(workbench.request(TemplateSource(name="guestbook"), mode="live"))
    assert first.state is BuildState.SUCCEEDED, workbench.log(first)
    folder = workbench.settings.paths.live_folder("asite2222222", "production")
    assert (folder / ".venv/bin/flask").exists()
    (folder / "app.py").write_text((folder / "app.py").read_text() + "\n# edited\n")
    again = await workbench.build(workbench.request(FolderSource(), mode="live"))
    assert again.state is BuildState.SUCCEEDED, workbench.log(again)
    assert "Installing" not in workbench.log(again)
    assert again.droplet == ""
    await workbench.build(workbench.request(TemplateSource(name="static"), mode="live"))
    assert (folder / "index.html").is_file()
    assert not (folder / "app.py").exists()
    assert (folder.with_name("folder.previous") / "app.py").is_file()


async def test_a_missing_release_comes_back_from_its_droplet(workbench: Workbench) -> None:
    status = await build(workbench, {"index.html": "kept", "run.sh": "#!/bin/sh\n"})
    assert status.blueprint is not None
    shutil.rmtree(workbench.release())
    workbench.settings.paths.droplets.chmod(0o700)
    channel = DesiredChannel(
        site_id="asite2222222",
        site_name="alice",
        number=1,
        channel_id="chan22222222",
        channel="production",
        generation=1,
        mode=Mode.RELEASED,
        release=Release("rrrrrrrrrrrr", 1, status.droplet, status.blueprint),
    )
    both = await asyncio.gather(workbench.builder.ensure_release(channel), workbench.builder.ensure_release(channel))
    assert both == [workbench.release(), workbench.release()]
    assert (workbench.release() / "index.html").read_text() == "kept"
    assert (workbench.release() / "index.html").stat().st_mtime > 1_000_000_000
    (workbench.settings.paths.droplets / status.droplet).unlink()
    shutil.rmtree(workbench.release())
    with pytest.raises(NotFoundError, match="Release 1 is not"):
        await workbench.builder.ensure_release(channel)


async def test_the_same_source_gives_the_same_droplet_on_another_site_without_a_cache(workbench: Workbench) -> None:
    first = await workbench.build(workbench.request(TemplateSource(name="guestbook")))
    second = await workbench.build(workbench.request(TemplateSource(name="guestbook"), site=BOB_SITE, number=2))
    assert first.droplet == second.droplet


async def test_sets_in_the_code_do_not_change_the_droplet(workbench: Workbench) -> None:
    names = ", ".join(f'"name{number}"' for number in range(20))
    files: Files = {
        "requirements.txt": "",
        "Procfile": "web: python app.py",
        "app.py": f"def known(name):\n    return name in {{{names}}}\n",
    }
    droplets = {(await build(workbench, files, release=number)).droplet for number in (1, 2, 3)}
    assert len(droplets) == 1


async def test_a_sites_own_variables_do_not_reach_the_platforms_scripts(workbench: Workbench) -> None:
    files: Files = {"requirements.txt": "", "Procfile": "web: python app.py", "sitecustomize.py": "raise SystemExit('taken over')"}
    status = await build(workbench, files, env=(("PYTHONPATH", "/app"), ("PYTHONHOME", "/app")))
    assert status.state is BuildState.SUCCEEDED, workbench.log(status)
