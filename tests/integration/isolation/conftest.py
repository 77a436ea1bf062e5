"""A real engine per test, each test on both; Charlie's site is number 2, the one who attacks is site 1."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from sitewright.testing.docker_lab import DockerLab, docker_lab
from sitewright.testing.dockerd import Dockerd, running_dockerd
from sitewright.testing.sandbox_lab import SandboxLab, sandbox_lab

SANDBOX_ONLY = frozenset(
    {
        # Docker's own filter of system calls lets a process trace its children and open raw sockets of harmless families.
        "test_dangerous_system_calls_are_refused",
        "test_odd_sockets_and_typing_into_a_terminal_are_refused",
        # These look at the uid inside: 1000 in the sandbox, the tenant's own with Docker.
        "test_a_setuid_program_gives_nothing",
        "test_a_command_beside_an_instance_is_as_confined_as_the_instance",
        # A container has its own /etc/hostname.
        "test_the_hosts_own_settings_are_not_there",
        # How many connections one may hold open is counted in the sandbox engine's own rules.
        "test_one_site_cannot_fill_the_machines_table_of_connections",
    }
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "lab" in metafunc.fixturenames:
        only = metafunc.function.__name__ in SANDBOX_ONLY
        metafunc.parametrize("lab", ["sandbox"] if only else ["sandbox", "docker"], indirect=True)


@pytest.fixture(scope="session")
def dockerd() -> Iterator[Dockerd]:
    with running_dockerd() as daemon:
        yield daemon


@pytest.fixture
async def lab(request: pytest.FixtureRequest) -> AsyncIterator[SandboxLab | DockerLab]:
    if request.param == "docker":
        async with docker_lab(request.getfixturevalue("dockerd")) as lab:
            yield lab
    else:
        async with sandbox_lab() as lab:
            yield lab
