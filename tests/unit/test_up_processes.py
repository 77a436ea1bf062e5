"""The plan for the supervisor: who runs as whom, with what environment, in which order it ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sitewright.config.settings import Settings
from sitewright.up.children import restart_delay, start_ticks
from sitewright.up.processes import STAGES, moved, part_environment, plan
from sitewright.up.reach import ROOT, Program

PROGRAM = Program(python="/somewhere/.venv/bin/python", source="/somewhere/src")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", run=tmp_path / "run", http_port=8123)


def test_every_process_of_the_plan_is_stopped_in_some_stage(settings: Settings) -> None:
    body = plan(settings, PROGRAM, lock=7, environment={})
    names = [spec["name"] for spec in body["processes"]]  # type: ignore[attr-defined]
    assert sorted(names) == sorted(name for stage in STAGES for name in stage if name != "teardown")
    assert body["lock"] == 7


def test_parts_get_the_settings_and_little_else(settings: Settings) -> None:
    outside = {
        "AWS_SECRET_ACCESS_KEY": "x",
        "LD_PRELOAD": "x",
        "PYTHONPATH": "/elsewhere",
        "PIP_INDEX_URL": "mirror",
        "SITEWRIGHT_HTTP_PORT": "1",
    }
    env = part_environment(settings, outside, "/somewhere/src")
    assert not {"AWS_SECRET_ACCESS_KEY", "LD_PRELOAD"} & env.keys()
    assert env["PIP_INDEX_URL"] == "mirror"
    assert env["SITEWRIGHT_HTTP_PORT"] == "8123"
    assert env["SITEWRIGHT_RUN"] == str(settings.paths.run)
    assert env["PYTHONPATH"] == "/somewhere/src"


def test_settings_survive_the_way_through_the_environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SITEWRIGHT_")]:
        monkeypatch.delenv(name)
    for name, value in part_environment(settings, {}, "/src").items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings


def test_no_secret_is_in_an_argv(settings: Settings) -> None:
    secret = Settings(**{**settings.model_dump(), "database_url": "postgresql://alice:hunter2@db/x"})
    body = plan(secret, PROGRAM, lock=0, environment={"PIP_INDEX_URL": "https://alice:hunter2@mirror"})
    assert not [word for spec in body["processes"] for word in spec["argv"] if "hunter2" in word]  # type: ignore[attr-defined]


def test_programs_of_the_repository_are_named_where_others_can_reach_them() -> None:
    assert moved([f"{ROOT}/.venv/bin/nats-server", "--config", "/etc/nats.conf"], PROGRAM) == [
        "/somewhere/.venv/bin/nats-server",
        "--config",
        "/etc/nats.conf",
    ]


def test_a_dying_process_comes_back_at_once_then_more_and_more_slowly() -> None:
    assert [restart_delay(failures) for failures in range(1, 8)] == [0.0, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_a_process_that_is_gone_has_no_start() -> None:
    assert start_ticks(os.getpid()) > 0
    assert start_ticks(2**22 + 1) == 0


def test_there_is_no_door_without_a_port(settings: Settings) -> None:
    for port, there in ((2222, True), (0, False)):
        body = plan(settings.model_copy(update={"ssh_port": port}), PROGRAM, lock=0, environment={})
        names = [spec["name"] for spec in body["processes"]]  # type: ignore[attr-defined]
        assert ("ssh" in names) is there
        assert ("ssh" in [spec["name"] for spec in body["sockets"]]) is there  # type: ignore[attr-defined]
        assert ("ssh" in [name for stage in body["stages"] for name in stage]) is there  # type: ignore[attr-defined]
