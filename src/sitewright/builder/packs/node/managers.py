"""npm, pnpm or yarn: whose lock file there is. Pure.

pnpm and yarn come from the registry as packages, in the version that wrote the lock file; Corepack is not used, because it asks
addresses of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sitewright.builder.tree import Tree
from sitewright.commands import npm

_PNPM_OF_LOCK = {"5": "7", "6": "8", "9": "9"}
_DECLARED = re.compile(r"(pnpm|yarn)@(\d{1,3}\.\d{1,4}\.\d{1,4})")


@dataclass(frozen=True, slots=True)
class PackageManager:
    """``package``: what to take from the registry to have it, "" for npm, which is there. ``lock``: its lock file, "" without one."""

    name: str
    lock: str = ""
    package: str = ""
    env: tuple[tuple[str, str], ...] = ()
    arguments: tuple[str, ...] = ()

    def install(self) -> tuple[str, ...]:
        """Argv that installs everything that is listed, development packages too."""
        if not self.package:
            return npm.install(locked=bool(self.lock))
        return npm.with_package(self.package, (self.name, "install", *self.arguments))

    def wrapped(self, command: tuple[str, ...]) -> tuple[str, ...]:
        """*command* where the package manager can be called too: scripts do, by name."""
        return npm.with_package(self.package, command) if self.package else command


def package_manager(tree: Tree, package: dict[str, Any]) -> PackageManager:
    """By the lock file at the top; npm's own counts first."""
    lock = tree.first("package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock")
    declared = _DECLARED.match(str(package.get("packageManager", "")))
    if lock == "pnpm-lock.yaml":
        written = re.search(r"^lockfileVersion: ?['\"]?(\d+)", tree.text(lock), re.MULTILINE)
        version = declared[2] if declared and declared[1] == "pnpm" else _PNPM_OF_LOCK.get(written[1] if written else "", "9")
        return PackageManager("pnpm", lock, f"pnpm@{version}", (("NODE_ENV", "development"),), ("--frozen-lockfile",))
    if lock == "yarn.lock":
        if "__metadata:" not in tree.text(lock):
            arguments = ("--frozen-lockfile", "--non-interactive", "--production=false", "--cache-folder", "/cache/yarn")
            return PackageManager("yarn", lock, "yarn@1.22.22", (), arguments)
        version = declared[2] if declared and declared[1] == "yarn" else "4"
        settings = (("YARN_NODE_LINKER", "node-modules"), ("YARN_ENABLE_TELEMETRY", "0"), ("YARN_ENABLE_GLOBAL_CACHE", "false"))
        return PackageManager("yarn", lock, f"@yarnpkg/cli-dist@{version}", settings, ("--immutable",))
    return PackageManager("npm", lock)
