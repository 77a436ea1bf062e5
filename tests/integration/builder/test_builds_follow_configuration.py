"""Whole builds with a configuration in the source."""

from __future__ import annotations

import os

from sitewright.bus.messages import FolderSource, TemplateSource
from sitewright.domain.pages import PageRules, RedirectRule, Wishes
from sitewright.domain.states import BuildState
from sitewright.testing.workbench import ALICE_SITE, Workbench, archive_of


async def test_the_files_of_a_static_site_become_rules_and_the_log_says_so(workbench: Workbench) -> None:
    files = {
        "sitewright.toml": "[sleep]\nafter = '30 min'\n[cache]\n'/assets/*' = 'immutable'\n[[redirects]]\nfrom = '/old'\nto = '/new'\n",
        "public/index.html": "front",
        "public/_redirects": "# moved\n/blog/* /news/:splat 302\n/de/* /x 302 Language=de\n/* /index.html 200\n",
        "public/_headers": "/*\n  X-Frame-Options: DENY\n  Connection: close\n",
    }
    status = await workbench.build(workbench.request(workbench.upload(archive_of(files))))
    log = workbench.log(status)
    assert status.state is BuildState.SUCCEEDED, log
    assert status.blueprint is not None
    assert status.blueprint.config == "sitewright.toml"
    assert status.blueprint.rules.redirects == (RedirectRule("/old", "/new"), RedirectRule("/blog/*", "/news/:splat", 302))
    assert status.blueprint.fallback == "index.html"
    assert status.blueprint.wishes == Wishes(freeze_after_seconds=1800.0)
    assert "sitewright.toml: 1 redirect, 1 header rule, sleeps after 30 min." in log
    assert "_redirects: 2 redirects." in log
    assert "_redirects, line 3: left out: the condition Language is not understood." in log
    assert "_headers, line 3: left out: The header Connection cannot be set here" in log


async def test_a_folder_of_a_large_repository_is_the_site_and_its_own_command_builds_it(workbench: Workbench) -> None:
    files = {
        "sitewright.toml": "[build]\nroot = 'apps/web'\ncommand = 'mkdir out && echo \"$GREETING\" > out/index.html'\noutput = 'out'\n"
        "[env]\nGREETING = 'hello'\n",
        "apps/web/readme.md": "x",
        "secret/plan.txt": "not of the site",
    }
    status = await workbench.build(workbench.request(workbench.upload(archive_of(files))))
    log = workbench.log(status)
    assert status.state is BuildState.SUCCEEDED, log
    folder = workbench.release()
    assert (folder / "out" / "index.html").read_text() == "hello\n"
    assert not (folder / "secret").exists()
    assert status.blueprint is not None
    assert (status.blueprint.static_root, status.blueprint.wishes.env) == ("out", (("GREETING", "hello"),))


async def test_a_mistake_ends_the_build_with_its_line(workbench: Workbench) -> None:
    files = {"sitewright.toml": "[sleep]\nafer = '30 min'\n", "index.html": "x"}
    status = await workbench.build(workbench.request(workbench.upload(archive_of(files))))
    assert status.state is BuildState.FAILED
    assert "sitewright.toml, line 2" in str(status.problem)


async def test_a_link_in_the_place_of_the_sites_folder_leads_nowhere(workbench: Workbench) -> None:
    files = {"sitewright.toml": "[build]\nroot = 'web'\n", "readme.md": "x"}
    status = await workbench.build(workbench.request(workbench.upload(archive_of(files))))
    assert status.state is BuildState.FAILED
    assert "no such folder" in str(status.problem)


async def test_an_app_of_heroku(workbench: Workbench) -> None:
    files = {
        "app.json": '{"env": {"A": "1", "B": {"required": true}}, "formation": {"worker": {"quantity": 2, "size": "standard-1x"}},'
        ' "buildpacks": [{"url": "x"}]}',
        "Procfile": "web: ./serve\nworker: ./work\n",
        "serve": "#!/bin/sh\n",
        "work": "#!/bin/sh\n",
    }
    status = await workbench.build(workbench.request(workbench.upload(archive_of(files))))
    log = workbench.log(status)
    assert status.state is BuildState.SUCCEEDED, log
    assert status.blueprint is not None
    assert status.blueprint.wishes == Wishes(memory_mb=(("worker", 512),), count=(("worker", 2),), env=(("A", "1"),))
    assert "app.json asks for variables that are not set: B." in log
    assert "buildpacks are not used" in log


async def test_a_live_site_follows_its_rules_at_the_next_build_and_stays_the_whole_folder(workbench: Workbench) -> None:
    files = {"index.html": "front", "_redirects": "/old /new\n"}
    first = await workbench.build(workbench.request(workbench.upload(archive_of(files)), mode="live"))
    assert first.blueprint is not None
    assert first.blueprint.rules.redirects == (RedirectRule("/old", "/new"),)
    folder = workbench.settings.paths.live_folder(ALICE_SITE, "production")
    (folder / "_redirects").write_text("/old /newer\n")
    again = await workbench.build(workbench.request(FolderSource(), mode="live"))
    assert again.blueprint is not None, workbench.log(again)
    assert again.blueprint.rules.redirects == (RedirectRule("/old", "/newer"),)
    (folder / "sitewright.toml").write_text("[build]\nroot = 'web'\n")
    (folder / "web").mkdir()
    refused = await workbench.build(workbench.request(FolderSource(), mode="live"))
    assert refused.state is BuildState.FAILED
    assert "A live site is the whole folder" in str(refused.problem)
    assert (folder / "index.html").read_text() == "front"


async def test_links_of_a_tenant_lead_the_builder_nowhere(workbench: Workbench) -> None:
    """Neither `_redirects` nor the folder that is the site is read through a link."""
    source = TemplateSource(name="static")
    await workbench.build(workbench.request(source, mode="live"))
    folder = workbench.settings.paths.live_folder(ALICE_SITE, "production")
    (folder / "_redirects").unlink(missing_ok=True)
    (folder / "_redirects").symlink_to("/etc/passwd")
    (folder / "_headers").unlink(missing_ok=True)
    os.mkfifo(folder / "_headers")
    status = await workbench.build(workbench.request(FolderSource(), mode="live"), seconds=60)
    assert status.state is BuildState.SUCCEEDED, workbench.log(status)
    assert "root:" not in workbench.log(status)
    assert status.blueprint is not None
    assert status.blueprint.rules == PageRules()
