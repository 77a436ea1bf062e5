"""A sandbox engine with warm parents for tests, and virtual environments for its sites.

The packages of warm parents, and the tenants' environments, are installed once a machine and kept beside the temporary folders.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from sitewright.config.settings import Settings
from sitewright.domain.limits import Limits
from sitewright.domain.processes import Listen
from sitewright.engines.base import InstanceSpec
from sitewright.engines.sandbox import SandboxEngine
from sitewright.engines.sandbox.warm_packages import install_warm_packages, warm_folder
from sitewright.system.processes import SystemRunner, check_blocking
from sitewright.testing.engine_lab import FOREVER, SMALL
from sitewright.testing.sandbox_lab import SandboxLab, install_tools

SITE_PACKAGES = ".venv/lib/python3.11/site-packages"
WARM = ("gunicorn", "--workers", "1", "--threads", "2", "--worker-class", "gthread", "app:app")
GUNICORN = "exec env LISTEN_PID=$$ gunicorn --workers 1 --threads 2 --worker-class gthread app:app"
_NOT_FLASKS = (
    "django*",
    "fastapi*",
    "starlette*",
    "pydantic*",
    "uvicorn*",
    "websockets*",
    "httptools*",
    "anyio*",
    "whitenoise*",
    "sqlparse*",
)
FLASK_APP = "from flask import Flask\napp = Flask(__name__)\n@app.get('/')\ndef hello():\n    return 'hello'\n"


def shared_packages() -> Path:
    """The folder `warm` of a home that all tests on this machine share, filled once."""
    home = Path(tempfile.gettempdir()) / f"sitewright-warm-{os.geteuid()}"
    home.mkdir(mode=0o755, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        settings = Settings(home=home)
        if not (warm_folder(settings) / "bin").is_dir():
            assert asyncio.run(install_warm_packages(settings, SystemRunner())) is not None, "the packages of warm parents install"
    return home / "warm"


def tenants_environment(target: Path) -> None:
    """A virtual environment as a build makes it at /app/.venv, with Flask and gunicorn, into the folder *target*.

    A copy of the parents' own with the right first line in its scripts: a build installs the same files.
    """
    source = warm_folder(Settings(home=shared_packages().parent))
    shutil.copytree(source, target / ".venv", symlinks=True, ignore=shutil.ignore_patterns(*_NOT_FLASKS))
    for script in (target / ".venv/bin").iterdir():
        if script.is_file() and not script.is_symlink() and script.read_bytes().startswith(b"#!"):
            script.write_bytes(script.read_bytes().replace(os.fsencode(_made_at(source)), b"/app/.venv", 1))


def _made_at(source: Path) -> str:
    """Where the environment was when its scripts were written."""
    return (source / "bin/gunicorn").read_text().splitlines()[0].removeprefix("#!").removesuffix("/bin/python")


class WarmLab(SandboxLab):
    """A lab whose instances are begun as copies of a warm parent. Commands that are no server run in the copy's place."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, warm=True)
        (home / "warm").symlink_to(shared_packages())
        (self.folder / SITE_PACKAGES).mkdir(parents=True)

    def instance(
        self,
        command: str = FOREVER,
        *,
        listen: Listen = Listen.NONE,
        limits: Limits = SMALL,
        env: tuple[tuple[str, str], ...] = (),
        site: int = 1,
    ) -> InstanceSpec:
        """A spec with an id of its own, begun warm where it can be."""
        return replace(super().instance(command, listen=listen, limits=limits, env=env, site=site), warm=WARM)

    async def open(self) -> SandboxEngine:
        """Open the engine and wait for its parent."""
        engine = await super().open()
        assert engine.warm is not None
        assert await engine.warm.warmed(self.instance()), "the parent gets warm"
        return engine

    def app(self, code: str = FLASK_APP) -> None:
        """Site 1 gets a virtual environment and app.py."""
        shutil.rmtree(self.folder / ".venv")
        tenants_environment(self.folder)
        (self.folder / "app.py").write_text(code)
        check_blocking(["chown", "-R", f"{self.uid(1)}:{self.uid(1)}", str(self.folder)], timeout=60)


@contextlib.asynccontextmanager
async def warm_lab() -> AsyncIterator[WarmLab]:
    """A lab with an open engine and a warm parent; afterwards nothing of it is left but the shared packages."""
    install_tools()
    home = Path(tempfile.mkdtemp(prefix="sitewright-lab-"))
    home.chmod(0o711)
    lab = await asyncio.to_thread(WarmLab, home)
    try:
        await lab.open()
        yield lab
    finally:
        await lab.engine.dismantle()
        shutil.rmtree(lab.settings.paths.run, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)
