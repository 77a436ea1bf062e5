"""Looking at the machine: ports, folders, programs, as they really are here."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from sitewright.up.survey import enterable_by_others, home_problem, missing_packages, nearest, port_problem, program_path


def test_a_taken_port_is_said_with_the_program_that_has_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = port_problem("127.0.0.1", taken.getsockname()[1])
    assert said.startswith("in use by ")
    assert f"(process {os.getpid()})" in said


def test_a_free_port_has_no_problem() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert port_problem("127.0.0.1", port) == ""


def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    assert port_problem("192.0.2.1", 8000)


def test_a_data_folder_below_a_file_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "is not a folder" in home_problem(tmp_path / "file" / "home")


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's parts all run as that user")
def test_a_data_folder_that_other_users_cannot_enter_is_refused_to_root(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert "cannot enter" in home_problem(closed / "home")


def test_the_first_closed_folder_on_the_way_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "inside").mkdir(parents=True)
    closed.chmod(0o700)
    assert enterable_by_others(closed / "inside") is not None
    assert enterable_by_others(Path("/usr/bin")) is None


def test_the_nearest_folder_that_exists_is_found(tmp_path: Path) -> None:
    assert nearest(tmp_path / "a" / "b") == tmp_path


def test_programs_are_found_where_an_ordinary_users_path_does_not_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert program_path("sh")
    assert program_path("/bin/sh") == "/bin/sh"
    assert program_path("no-such-program") == ""


def test_an_ordinary_user_needs_fewer_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sitewright.up.survey.program_path", lambda _: "")
    assert set(missing_packages(root=True)) - set(missing_packages(root=False)) == {"nftables", "iproute2"}
