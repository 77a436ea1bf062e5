"""The same programs without a platform around them: processes of this machine, started by hand."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from benchmarks.platform.stand import Stand

PYTHON = "/usr/bin/python3"
GUNICORN_OPTIONS = ("--workers", "1", "--threads", "8", "--worker-class", "gthread", "--access-logfile", "-")


def copied_release(there: Stand, site: str, target: Path) -> Path:
    """A copy of what the site's newest release runs from, virtual environment and all; returns *target*."""
    site_id = there.api().call("GET", f"/sites/{site}")["id"]
    releases = there.platform.settings.paths.sites / str(site_id) / "channels" / "production" / "releases"
    newest = max(releases.iterdir(), key=lambda folder: int(folder.name) if folder.name.isdigit() else -1)
    shutil.copytree(newest, target, symlinks=True, dirs_exist_ok=True)
    return target


def packages_of(release: Path) -> Path:
    """Where a release's virtual environment has its packages."""
    return next((release / ".venv" / "lib").glob("python3*")) / "site-packages"


def gunicorn(release: Path, bind: str) -> tuple[list[str], dict[str, str]]:
    """Command line and environment that serve a copied Flask release with the options that the platform chooses."""
    env = {**os.environ, "PYTHONPATH": f"{packages_of(release)}:{release}"}
    return [PYTHON, "-m", "gunicorn", "--chdir", str(release), "--bind", bind, *GUNICORN_OPTIONS, "app:app"], env
