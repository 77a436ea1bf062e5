"""Runtimes of the distribution, installed when the first site needs them (as root and when the settings allow it)."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sitewright.errors import BuildError
from sitewright.system.accounts import is_root
from sitewright.system.processes import CommandFailedError, Runner

INSTALL_TIMEOUT_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a kind of site needs on the machine. ``programs``: paths or patterns below / of which each must be there."""

    name: str
    programs: tuple[str, ...]
    packages: tuple[str, ...]


RUNTIMES = {
    runtime.name: runtime
    for runtime in (
        Runtime("python", ("usr/bin/python3",), ("python3",)),
        Runtime("git", ("usr/bin/git",), ("git", "ca-certificates")),
        Runtime("node", ("usr/bin/node", "usr/bin/npm"), ("nodejs", "npm")),
        Runtime(
            "php",
            ("usr/sbin/php-fpm[0-9]*", "usr/lib/php/20*/pdo_sqlite.so", "usr/lib/php/20*/mbstring.so", "usr/lib/php/20*/curl.so"),
            ("php-fpm", "php-cli", "php-sqlite3", "php-mbstring", "php-xml", "php-curl", "php-gd", "php-intl", "php-zip"),
        ),
        Runtime("composer", ("usr/bin/composer",), ("composer",)),
    )
}


def is_present(runtime: Runtime, root: Path = Path("/")) -> bool:
    """Whether all its programs are there."""
    return all(any(root.glob(pattern)) for pattern in runtime.programs)


def php_version(root: Path = Path("/")) -> str:
    """The newest php-fpm of the distribution as `8.2`, "" when there is none."""
    found = [match[1] for path in root.glob("usr/sbin/php-fpm[0-9]*") if (match := re.fullmatch(r"php-fpm(\d+\.\d+)", path.name))]
    return max(found, key=lambda version: tuple(map(int, version.split("."))), default="")


class Packages:
    """Installs one thing at a time."""

    def __init__(self, runner: Runner, *, allowed: bool) -> None:
        self._runner = runner
        self._allowed = allowed
        self._lock = asyncio.Lock()

    async def ensure(self, name: str, say: Callable[[str], None]) -> None:
        """Make sure that the runtime *name* is on the machine. Raises BuildError naming the one command, when it may not or cannot."""
        runtime = RUNTIMES[name]
        if is_present(runtime):
            return
        command = f"apt-get install {' '.join(runtime.packages)}"
        if not (self._allowed and is_root() and Path("/usr/bin/apt-get").exists()):
            raise _missing(name, f"sudo {command}", "")
        async with self._lock:
            if is_present(runtime):
                return
            say(f"Installing {name} on this machine, because this is the first site that needs it (a minute or two).")
            problem = await self._install(runtime)
            if not is_present(runtime):
                raise _missing(name, command, problem)

    async def _install(self, runtime: Runtime) -> str:
        """Why it did not work, "" when it did. The package lists are fetched when the first try fails: a fresh machine has none."""
        argv = (
            "/usr/bin/apt-get", "install", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120", *runtime.packages,
        )  # fmt: skip
        problem = await self._apt(argv)
        if problem:
            await self._apt(("/usr/bin/apt-get", "update"))
            problem = await self._apt(argv)
        if runtime.name == "php" and Path("/run/systemd/system").exists():
            await self._apt(("/usr/bin/systemctl", "disable", "--now", f"php{php_version()}-fpm.service"))
        return problem

    async def _apt(self, argv: tuple[str, ...]) -> str:
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        try:
            done = await self._runner.run(argv, env=env, timeout=INSTALL_TIMEOUT_SECONDS)
        except CommandFailedError as error:
            return str(error)
        return "" if done.ok else done.errors.decode(errors="replace")[-500:].strip() or f"It ended with {done.code}."


def _missing(name: str, command: str, details: str) -> BuildError:
    return BuildError(
        f"This site needs {name}, which is not installed on this machine.",
        details=details,
        resolution=f"Whoever runs the machine installs it with “{command}”; then deploy again.",
    )
