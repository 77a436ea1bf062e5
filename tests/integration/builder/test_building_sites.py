"""Whole builds on the real engine, with the real package index."""

from __future__ import annotations

import os
import stat

from sitewright.bus.messages import TemplateSource
from sitewright.domain.processes import Listen
from sitewright.domain.states import BuildState
from sitewright.testing.workbench import Workbench, archive_of


async def test_a_static_site_becomes_a_release_and_a_droplet(workbench: Workbench) -> None:
    source = workbench.upload(archive_of({"site/index.html": "<h1>Alice</h1>", "site/css/a.css": "a{}"}))
    status = await workbench.build(workbench.request(source))
    assert status.state is BuildState.SUCCEEDED, workbench.log(status)
    assert status.blueprint is not None
    assert status.blueprint.is_static
    folder = workbench.release()
    assert (folder / "index.html").read_text() == "<h1>Alice</h1>"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    assert (workbench.settings.paths.droplets / status.droplet).is_file()
    if os.geteuid() == 0:
        assert (folder / "index.html").stat().st_uid == workbench.settings.uid_base + 1


async def test_the_guestbook_is_built_and_unchanged_packages_are_not_installed_again(workbench: Workbench) -> None:
    first = await workbench.build(workbench.request(TemplateSource(name="guestbook")))
    assert first.state is BuildState.SUCCEEDED, workbench.log(first)
    assert first.blueprint is not None
    web = first.blueprint.process("web")
    assert web is not None
    assert web.listen is Listen.FD
    assert "app:app" in web.command
    second = await workbench.build(workbench.request(TemplateSource(name="guestbook"), release=2))
    assert second.state is BuildState.SUCCEEDED, workbench.log(second)
    assert "unchanged" in workbench.log(second)
    assert second.droplet == first.droplet
    print(workbench.log(first), "\n----\n", workbench.log(second))
