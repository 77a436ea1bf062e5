"""One Docker Engine for all tests of this folder."""

from collections.abc import Iterator

import pytest

from sitewright.testing.dockerd import Dockerd, running_dockerd


@pytest.fixture(scope="session")
def dockerd() -> Iterator[Dockerd]:
    with running_dockerd() as daemon:
        yield daemon
