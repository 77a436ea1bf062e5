"""The docker engine keeps the contract, on a daemon of its own."""

from collections.abc import AsyncIterator, Iterator

import pytest

from sitewright.testing.docker_lab import DockerLab, docker_lab
from sitewright.testing.dockerd import Dockerd, running_dockerd
from sitewright.testing.engine_contract import RunningEngineContract


@pytest.fixture(scope="module")
def dockerd() -> Iterator[Dockerd]:
    with running_dockerd() as daemon:
        yield daemon


@pytest.fixture
async def lab(dockerd: Dockerd) -> AsyncIterator[DockerLab]:
    async with docker_lab(dockerd) as lab:
        yield lab


class TestDockerEngine(RunningEngineContract):
    """Everything that real processes show."""
