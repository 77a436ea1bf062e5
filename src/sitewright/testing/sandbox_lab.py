"""A real sandbox engine for tests: a platform's folders of its own, gone afterwards with rules, networks and control groups.

Needs root; installs what Debian packages are missing.
"""

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
from sitewright.engines.sandbox import SandboxEngine
from sitewright.errors import PreflightError
from sitewright.system.clock import SystemClock
from sitewright.system.processes import SystemRunner, run_blocking
from sitewright.testing.engine_lab import FOREVER, SMALL

PACKAGES = {"bubblewrap": "bwrap", "nftables": "nft", "iproute2": "ip", "procps": "ps"}


def install_tools() -> None:
    """Install the Debian packages that the engine needs. Raises PreflightError with the line to run when it cannot."""
    missing = [package for package, program in PACKAGES.items() if shutil.which(program) is None]
    if not Path("/usr/lib/systemd/systemd-socket-proxyd").exists() and not Path("/lib/systemd/systemd-socket-proxyd").exists():
        missing.append("systemd")
    line = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if os.geteuid() != 0:
        raise PreflightError("These tests need root: they make users, networks and control groups.", resolution="Run them as root.")
    if not missing:
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run_blocking(["apt-get", "update", "-qq"], env=environment, timeout=300)
    if not run_blocking(line, env=environment, timeout=600).ok:
        raise PreflightError("Programs that these tests need are missing.", resolution=f"Run as root: {' '.join(line)}")


class SandboxLab:
    """One platform: its settings, its engine, and site 1's folder."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home)
        self.engine = SandboxEngine(self.settings, SystemRunner(), SystemClock())
        self.info = EngineInfo("sandbox")
        self.output: dict[str, bytearray] = {}
        self.folder = self.site_folder(1)

    def uid(self, number: int) -> int:
        """The uid of site *number*."""
        return self.settings.uid_base + number

    def site_folder(self, number: int) -> Path:
        """A folder of site *number*, owned as the platform owns it."""
        folder = self.settings.home / "sites" / str(number) / "app"
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.parent.parent.chmod(0o711)
            for path in (folder.parent, folder):
                path.chmod(0o750)
                os.chown(path, self.uid(number), self.uid(number))
        return folder

    def sink(self, name: str, data: bytes) -> None:
        """Collect output."""
        self.output.setdefault(name, bytearray()).extend(data)

    def text(self, name: str) -> str:
        """What that instance or job wrote."""
        return self.output.get(name, bytearray()).decode(errors="replace")

    def box(self, command: str, *, limits: Limits = SMALL, env: tuple[tuple[str, str], ...] = (), site: int = 1) -> Sandboxed:
        """A box of that site with its folder at /app."""
        return Sandboxed(self.uid(site), command, env, (Mount(self.site_folder(site), "/app", writable=True),), limits)

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
        name = new_id()
        box = self.box(command, limits=limits, env=env, site=site)
        return InstanceSpec(
            name, "channel", f"site{site}", "web", "digest", "release", box, listen, self.settings.paths.instance_socket(name)
        )

    def job(self, command: str, *, timeout: float = 30, limits: Limits = SMALL) -> JobSpec:
        """A job with an id of its own."""
        return JobSpec(new_id(), self.box(command, limits=limits), timeout)

    async def reopen(self, *, meanwhile: Callable[[], Awaitable[None]] | None = None) -> SandboxEngine:
        """Another engine object on the same folders."""
        await self.engine.close()
        if meanwhile is not None:
            await meanwhile()
        self.engine = SandboxEngine(self.settings, SystemRunner(), SystemClock())
        self.info = await self.engine.open(self.sink)
        return self.engine


@contextlib.asynccontextmanager
async def sandbox_lab() -> AsyncIterator[SandboxLab]:
    """A lab with an open engine; afterwards nothing of it is left on the machine."""
    install_tools()
    home = Path(tempfile.mkdtemp(prefix="sitewright-lab-"))
    home.chmod(0o711)
    lab = SandboxLab(home)
    try:
        lab.info = await lab.engine.open(lab.sink)
        yield lab
    finally:
        await lab.engine.dismantle()
        shutil.rmtree(lab.settings.paths.run, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)
