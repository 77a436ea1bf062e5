"""A real docker engine for tests: a platform's folders of its own on a daemon of its own, gone afterwards."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from sitewright.config.settings import Settings
from sitewright.engines.docker import DockerEngine
from sitewright.system.clock import SystemClock
from sitewright.testing.dockerd import Dockerd
from sitewright.testing.platform_lab import PlatformLab


class DockerLab(PlatformLab[DockerEngine]):
    """One platform on a Docker Engine."""

    def __init__(self, home: Path, dockerd: Dockerd) -> None:
        settings = Settings(home=home, run=home / "run", engine="docker", docker_host=dockerd.host)
        super().__init__(settings, lambda settings: DockerEngine(settings, SystemClock()))


@contextlib.asynccontextmanager
async def docker_lab(dockerd: Dockerd) -> AsyncIterator[DockerLab]:
    """A lab with an open engine; afterwards its instances and folders are gone."""
    home = Path(tempfile.mkdtemp(prefix="sw-lab-"))
    home.chmod(0o711)
    lab = DockerLab(home, dockerd)
    try:
        await lab.open()
        yield lab
    finally:
        await lab.engine.dismantle()
        shutil.rmtree(home, ignore_errors=True)
