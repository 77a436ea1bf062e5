"""Every finding is one sentence and says what to do; nothing else stops `up`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sitewright.up.preflight import Weight, blocking, check
from sitewright.up.survey import Facts

GOOD = Facts(
    root=True,
    home=Path("/var/lib/sitewright"),
    home_problem="",
    free_bytes=50 * 1024**3,
    other_up=0,
    address="127.0.0.1",
    port=8000,
    port_problem="",
    missing=(),
    can_install=True,
    namespaces_problem="",
    python_unreachable="",
    docker_problem="",
    engine="sandbox",
    user_network=True,
)


def test_a_good_machine_has_nothing_to_say() -> None:
    assert check(GOOD) == ()


@pytest.mark.parametrize(
    ("change", "code", "word"),
    [
        ({"home_problem": "/data cannot be written by this user"}, "home", "SITEWRIGHT_HOME"),
        ({"free_bytes": 500 * 1024**2}, "disk", "500 MB"),
        ({"other_up": 812}, "running", "process 812"),
        ({"port_problem": "in use by nginx (process 9)"}, "port", "nginx (process 9)"),
        ({"missing": ("git", "nftables"), "can_install": False}, "packages", "sudo apt-get install -y git nftables"),
        ({"namespaces_problem": "No permissions to create new namespace"}, "namespaces", "Run as root"),
        ({"python_unreachable": "/root"}, "python", "SITEWRIGHT_PYTHON"),
        ({"engine": "docker", "docker_problem": "connection refused"}, "docker", "--engine"),
    ],
)
def test_each_obstacle_is_one_finding_with_advice(change: dict[str, object], code: str, word: str) -> None:
    found = blocking(check(replace(GOOD, **change)))  # type: ignore[arg-type]
    assert [finding.code for finding in found] == [code]
    assert word in f"{found[0].message} {found[0].resolution}"
    assert found[0].message.endswith(".")


def test_packages_that_can_be_installed_stop_nobody() -> None:
    assert blocking(check(replace(GOOD, missing=("git",)))) == ()


def test_all_obstacles_are_said_at_once() -> None:
    found = check(replace(GOOD, free_bytes=0, port_problem="in use by another program"))
    assert [finding.code for finding in found] == ["disk", "port"]


def test_the_port_of_a_running_platform_is_not_blamed_twice() -> None:
    assert [finding.code for finding in check(replace(GOOD, other_up=5, port_problem="in use by nginx"))] == ["running"]


def test_an_ordinary_user_may_start_and_hears_what_is_weaker() -> None:
    found = check(replace(GOOD, root=False, user_network=False))
    assert [(finding.code, finding.weight) for finding in found] == [("user", Weight.WEAKER), ("user-network", Weight.WEAKER)]
    assert blocking(found) == ()


def test_a_sandbox_is_not_asked_for_when_docker_runs_the_sites() -> None:
    assert blocking(check(replace(GOOD, engine="docker", namespaces_problem="refused"))) == ()


def test_a_taken_port_of_the_door_stops_nobody() -> None:
    (finding,) = check(replace(GOOD, ssh_port=2222, ssh_problem="in use by sshd (process 9)"))
    assert (finding.code, finding.weight) == ("ssh-port", Weight.WEAKER)
    assert "SITEWRIGHT_SSH_PORT" in finding.resolution


def test_what_only_copying_files_needs_stops_nobody() -> None:
    (finding,) = check(replace(GOOD, missing=("rsync",), can_install=False))
    assert (finding.code, finding.weight) == ("files-packages", Weight.WEAKER)
    assert [one.code for one in blocking(check(replace(GOOD, missing=("git", "rsync"), can_install=False)))] == ["packages"]
