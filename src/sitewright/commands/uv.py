"""Argv for uv, as it is used inside a build's sandbox."""

from __future__ import annotations

UV = "/sitewright/uv"
"""Where the platform's own uv appears inside a build."""

SYSTEM_PYTHON = "/usr/bin/python3"


def make_environment(folder: str) -> tuple[str, ...]:
    """A virtual environment on the distribution's Python; one that is there is kept."""
    return (UV, "venv", "--quiet", "--allow-existing", "--python", SYSTEM_PYTHON, folder)


def install(environment: str, *, requirements: tuple[str, ...] = (), packages: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Install requirement files (requirements.txt, pyproject.toml) and packages into the environment."""
    files = tuple(part for file in requirements for part in ("-r", file))
    return (UV, "pip", "install", "--python", f"{environment}/bin/python", *files, *packages)


def install_project(environment: str, folder: str, *, packages: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Install the project in *folder* in place (editable): its code stays where the app runs."""
    return (UV, "pip", "install", "--python", f"{environment}/bin/python", "-e", folder, *packages)


def sync(*, groups: bool = False, project: bool = True) -> tuple[str, ...]:
    """Install exactly what uv.lock says into $UV_PROJECT_ENVIRONMENT, without development groups unless *groups*; the project itself too if
    it is a package."""
    own = () if project else ("--no-install-project",)
    return (UV, "sync", "--frozen", "--inexact", *(() if groups else ("--no-dev",)), *own)
