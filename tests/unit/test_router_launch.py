"""Folders, files and the command line around nginx."""

from __future__ import annotations

import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from sitewright.config.settings import Settings
from sitewright.router import launch, start
from sitewright.router.pages import PAGES


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path / "home", run=tmp_path / "run")


def test_preparing_twice_keeps_routes_and_everything_else(settings):
    launch.prepare_folders(settings)
    (settings.paths.routes / "alice.test").symlink_to("../c/x")
    launch.write_config(settings)
    before = sorted(settings.paths.run.rglob("*"))
    launch.prepare_folders(settings)
    launch.write_config(settings)
    assert sorted(settings.paths.run.rglob("*")) == before


def test_only_the_workers_may_enter_nginxs_own_folder(settings):
    before = os.umask(0)
    try:
        launch.prepare_folders(settings)
    finally:
        os.umask(before)
    assert stat.S_IMODE((settings.paths.run / "nginx").stat().st_mode) == 0o710


def test_every_page_is_written_for_people_and_programs(settings):
    launch.prepare_folders(settings)
    config = launch.write_config(settings)
    names = {path.name for path in (config.parent / "pages").iterdir()}
    assert names == {f"{page.name}.{ending}" for page in PAGES for ending in ("html", "json")}
    assert config.read_text() == launch.render(settings)


def test_it_is_started_by_way_of_the_script_that_clears_a_stale_socket(settings):
    argv = launch.nginx_argv(settings)
    assert argv[:5] == [sys.executable, "-I", "-S", start.__file__, str(settings.paths.run / "nginx" / "php.sock")]
    assert Path(argv[5]).name == "nginx"


def test_nginx_accepts_the_configuration(settings):
    launch.prepare_folders(settings)
    launch.write_config(settings)
    launch.test_config(settings)


def test_a_socket_that_nobody_listens_on_is_cleared_away_and_one_in_use_is_not(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(os, "execv", lambda _path, argv: started.append(argv))
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        start.main(str(path), ["/nginx"])
        assert path.exists()
    start.main(str(path), ["/nginx"])
    assert not path.exists()
    assert started == [["/nginx"], ["/nginx"]]
