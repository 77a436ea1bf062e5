"""What the labs of real engines share: settings, a folder for each site, output, specs, and an engine that is opened again."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Generic, TypeVar

from sitewright.config.settings import Settings
from sitewright.domain.identity import new_id
from sitewright.domain.limits import Limits
from sitewright.domain.processes import Listen
from sitewright.engines.base import Engine, EngineInfo, InstanceSpec, JobSpec, LogSink, Mount, Sandboxed
from sitewright.testing.engine_lab import FOREVER, SMALL

E = TypeVar("E", bound=Engine)


class PlatformLab(Generic[E]):
    """One platform: its settings, its engine, and a folder for each site. *make* makes an engine on those settings."""

    def __init__(self, settings: Settings, make: Callable[[Settings], E]) -> None:
        self.settings = settings
        self._make = make
        self.engine = make(settings)
        self.info = EngineInfo(settings.engine)
        self.output: dict[str, bytearray] = {}
        self.listener: LogSink = lambda _name, _data: None
        """Told of output too."""
        self.folder = self.site_folder(1)

    def uid(self, site: int) -> int:
        """The uid of a site."""
        return self.settings.uid_base + site

    def site_folder(self, site: int) -> Path:
        """A site's own folder, owned as the platform owns it; /app inside."""
        folder = self.settings.home / "sites" / str(site) / "app"
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.parent.parent.chmod(0o711)
            for path in (folder.parent, folder):
                path.chmod(0o750)
                os.chown(path, self.uid(site), self.uid(site))
        return folder

    def sink(self, name: str, data: bytes) -> None:
        """Collect output."""
        self.output.setdefault(name, bytearray()).extend(data)
        self.listener(name, data)

    def text(self, name: str) -> str:
        """What that instance or job wrote."""
        return self.output.get(name, bytearray()).decode(errors="replace")

    def box(
        self, command: str, *, limits: Limits = SMALL, env: tuple[tuple[str, str], ...] = (), site: int = 1, network: bool = True
    ) -> Sandboxed:
        """A box of that site with its folder at /app."""
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

    async def open(self) -> E:
        """Open the engine."""
        self.info = await self.engine.open(self.sink)
        return self.engine

    async def reopen(self, *, meanwhile: Callable[[], Awaitable[None]] | None = None) -> E:
        """Another engine object on the same folders."""
        await self.engine.close()
        if meanwhile is not None:
            await meanwhile()
        self.engine = self._make(self.settings)
        return await self.open()
