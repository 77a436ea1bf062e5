"""A real sandbox engine for tests: a platform's folders of its own, gone afterwards with rules, networks and control groups.

Needs root; installs what Debian packages are missing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from sitewright.config.settings import Settings
from sitewright.engines.sandbox import SandboxEngine
from sitewright.errors import PreflightError
from sitewright.system.clock import SystemClock
from sitewright.system.processes import SystemRunner, run_blocking
from sitewright.testing.platform_lab import PlatformLab

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


class SandboxLab(PlatformLab[SandboxEngine]):
    """One platform on the sandbox."""

    def __init__(self, home: Path, *, warm: bool = False) -> None:
        super().__init__(Settings(home=home, warm_start=warm), lambda settings: SandboxEngine(settings, SystemRunner(), SystemClock()))


@contextlib.asynccontextmanager
async def sandbox_lab(*, warm: bool = False) -> AsyncIterator[SandboxLab]:
    """A lab with an open engine, with *warm* one that has warm parents; afterwards nothing of it is left on the machine."""
    install_tools()
    home = Path(tempfile.mkdtemp(prefix="sitewright-lab-"))
    home.chmod(0o711)
    lab = SandboxLab(home, warm=warm)
    try:
        await lab.open()
        yield lab
    finally:
        await lab.engine.dismantle()
        shutil.rmtree(lab.settings.paths.run, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)
