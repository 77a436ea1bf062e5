"""What every pack says about a tree: frozen values that plan.py turns into steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sitewright.builder.tree import Tree
from sitewright.domain.processes import ProcessSpec


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a build, run inside the sandbox in /app. ``title`` is shown while it runs, ``advice`` when it fails."""

    title: str
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    network: bool = False
    advice: str = ""
    usual: bool = False
    """It is the usual build of that kind; a configuration may have its own in its place."""


@dataclass(frozen=True, slots=True)
class Install:
    """Steps that bring dependencies into ``folder``. ``fingerprint`` names the result: same fingerprint, same dependencies; "" when it
    depends on more than the files that were looked at, so that it has to run each time."""

    folder: str
    fingerprint: str
    steps: tuple[Step, ...]
    what: str = "dependencies"


@dataclass(frozen=True, slots=True)
class Toolchain:
    """What the stack offers, as versions; part of every fingerprint."""

    python: str = "3.11"
    node: str = ""
    php: str = ""
    machine: str = "x86_64"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the static files are after the build: the first of ``candidates`` with an index.html is served; ``spa`` adds a fallback for
    single-page apps. ``servers``: scripts that some frameworks make instead of pages; the first that is there becomes the web process, with
    ``server_env``."""

    candidates: tuple[str, ...]
    spa: bool = False
    servers: tuple[str, ...] = ()
    server_env: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class PackPlan:
    """All that a pack wants."""

    pack: str
    title: str
    """For the log: «Python app (Flask)»."""
    needs: tuple[str, ...] = ()
    """Runtimes that must be on the machine: "python", "node", "php"."""
    notes: tuple[str, ...] = ()
    installs: tuple[Install, ...] = ()
    steps: tuple[Step, ...] = ()
    processes: tuple[ProcessSpec, ...] = ()
    layout: Layout | None = None
    static_root: str | None = None
    env: tuple[tuple[str, str], ...] = ()
    build_env: tuple[tuple[str, str], ...] = ()
    dropped: tuple[str, ...] = ()
    """Folders that only the build needed; they are not part of a release."""
    dockerfile: str = ""
    """The file that describes the container image that it is, relative to the tree."""


Pack = Callable[[Tree, Toolchain], PackPlan | None]
"""Looks at a tree: a plan when it is this language's, None when it is not. Raises BuildError when it is but something is wrong."""
