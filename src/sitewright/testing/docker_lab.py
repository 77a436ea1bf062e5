"""A real docker engine for tests: a platform's folders of its own on a daemon of its own, gone afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from sitewright.config.settings import Settings
from sitewright.domain.identity import new_id
from sitewright.domain.limits import Limits
from sitewright.domain.processes import Listen
from sitewright.engines.base import EngineInfo, InstanceSpec, JobSpec, Mount, Sandboxed
from sitewright.engines.docker import DockerEngine
from sitewright.system.clock import SystemClock
from sitewright.testing.dockerd import Dockerd
from sitewright.testing.engine_lab import FOREVER, SMALL


class DockerLab:
    """One platform: its settings, its engine, and a folder for each site."""

    def __init__(self, home: Path, dockerd: Dockerd) -> None:
        self.settings = Settings(home=home, run=home / "run", engine="docker", docker_host=dockerd.host)
        self.engine = DockerEngine(self.settings, SystemClock())
        self.info = EngineInfo("docker")
        self.output: dict[str, bytearray] = {}
        self.folder = self.site_folder(1)

    def uid(self, site: int) -> int:
        """The uid of a site."""
        return self.settings.uid_base + site

    def site_folder(self, site: int) -> Path:
        """A site's own folder, as the platform owns it; /app inside."""
        folder = self.settings.home / "sites" / str(site) / "app"
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.chmod(0o750)
            os.chown(folder, self.uid(site), self.uid(site))
        return folder

    def sink(self, name: str, data: bytes) -> None:
        """Collect output."""
        self.output.setdefault(name, bytearray()).extend(data)

    def text(self, name: str) -> str:
        """What that instance or job wrote."""
        return self.output.get(name, bytearray()).decode(errors="replace")

    def box(
        self, command: str, *, limits: Limits = SMALL, env: tuple[tuple[str, str], ...] = (), site: int = 1, network: bool = True
    ) -> Sandboxed:
        """A box of that site."""
        mounts = (Mount(self.site_folder(site), "/app", writable=True),)
        return Sandboxed(self.uid(site), command, env, mounts, limits, network=network)

    def instance(
        self,
        command: str = FOREVER,
        *,
        listen: Listen = Listen.NONE,
        limits: Limits = SMALL,
        env: tuple[tuple[str, str], ...] = (),
        site: int = 1,
    ) -> InstanceSpec:
        """A spec with an id of its own."""
        name, box = new_id(), self.box(command, limits=limits, env=env, site=site)
        socket = self.settings.paths.instance_socket(name)
        return InstanceSpec(name, "channel", f"site{site}", "web", "digest", "release", box, listen, socket)

    def job(self, command: str, *, timeout: float = 30, limits: Limits = SMALL, site: int = 1, network: bool = True) -> JobSpec:
        """A job with an id of its own."""
        return JobSpec(new_id(), self.box(command, limits=limits, site=site, network=network), timeout)

    async def reopen(self, *, meanwhile: Callable[[], Awaitable[None]] | None = None) -> DockerEngine:
        """Another engine object on the same folders."""
        await self.engine.close()
        if meanwhile is not None:
            await meanwhile()
        self.engine = DockerEngine(self.settings, SystemClock())
        self.info = await self.engine.open(self.sink)
        return self.engine


@contextlib.asynccontextmanager
async def docker_lab(dockerd: Dockerd) -> AsyncIterator[DockerLab]:
    """A lab with an open engine; afterwards its instances and folders are gone."""
    home = Path(tempfile.mkdtemp(prefix="sw-lab-"))
    home.chmod(0o711)
    lab = DockerLab(home, dockerd)
    try:
        lab.info = await lab.engine.open(lab.sink)
        yield lab
    finally:
        await lab.engine.dismantle()
        shutil.rmtree(home, ignore_errors=True)
