"""The packages of warm parents: a virtual environment below the platform's folder, each file checked against the hash in the lock."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from pathlib import Path

from uv import find_uv_bin

from sitewright.commands.uv import SYSTEM_PYTHON
from sitewright.config.settings import Settings
from sitewright.engines.environment import CA_BUNDLE
from sitewright.errors import SitewrightError
from sitewright.system.processes import Runner

log = logging.getLogger(__name__)

LOCK = Path(__file__).with_name("warm.txt")
_SECONDS = 600.0


def warm_folder(settings: Settings) -> Path:
    """Where they belong: a folder named after the lock and the interpreter, so that a new one never changes under a running parent."""
    python = Path(SYSTEM_PYTHON).resolve()
    try:
        status = python.stat()
    except OSError:
        return settings.home / "warm" / "none"
    known = hashlib.sha256(LOCK.read_bytes() + f"{python} {status.st_size} {status.st_mtime_ns}".encode())
    return settings.home / "warm" / known.hexdigest()[:16]


async def install_warm_packages(settings: Settings, runner: Runner) -> Path | None:
    """The folder, with everything in it; None, with a line in the log, when that cannot be had now. Needs the package index once."""
    folder = warm_folder(settings)
    if (folder / "bin").is_dir():
        return folder
    if not Path(SYSTEM_PYTHON).exists():
        return None
    fresh = folder.with_name(f".{folder.name}")
    try:
        folder.parent.mkdir(mode=0o755, exist_ok=True)
        shutil.rmtree(fresh, ignore_errors=True)
        await _install(settings, runner, fresh)
        for old in folder.parent.iterdir():
            if old != fresh:
                shutil.rmtree(old, ignore_errors=True)
        fresh.rename(folder)
    except (SitewrightError, OSError) as error:
        log.warning("warm_packages_missing", extra={"error": str(error)})
        shutil.rmtree(fresh, ignore_errors=True)
        return None
    return folder


async def _install(settings: Settings, runner: Runner, folder: Path) -> None:
    uv = find_uv_bin()
    env = {**os.environ, "UV_NO_CONFIG": "1", "UV_COMPILE_BYTECODE": "1", "UV_PYTHON_DOWNLOADS": "never"}
    if settings.package_index:
        env["UV_DEFAULT_INDEX"] = settings.package_index
    if Path(CA_BUNDLE).exists():
        env.setdefault("SSL_CERT_FILE", CA_BUNDLE)
    await runner.run((uv, "venv", "-q", "--python", SYSTEM_PYTHON, str(folder)), env=env, timeout=_SECONDS)
    argv = (uv, "pip", "install", "-q", "--python", f"{folder}/bin/python", "--require-hashes", "-r", str(LOCK))
    done = await runner.run(argv, env=env, timeout=_SECONDS)
    if not done.ok:
        raise SitewrightError("The packages of warm parents could not be installed.", details=done.errors.decode(errors="replace")[-800:])
