"""Which controllers of control groups this machine has, and where; reading and writing their files."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

NEEDED = ("memory", "cpu", "pids", "cpuacct", "freezer")


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Where controllers are mounted. ``unified`` is the cgroup2 mount, with ``unified_controllers`` (none in hybrid set-ups)."""

    v1: tuple[tuple[str, Path], ...] = ()
    unified: Path | None = None
    unified_controllers: frozenset[str] = frozenset()

    def folder(self, controller: str) -> Path | None:
        """The mount that has *controller*, or None."""
        for name, path in self.v1:
            if name == controller:
                return path
        return self.unified if controller in self.unified_controllers else None

    def is_v2(self, controller: str) -> bool:
        """Whether *controller* speaks version 2's files."""
        return controller not in dict(self.v1) and controller in self.unified_controllers


def parse_mounts(mounts: str) -> tuple[tuple[tuple[str, Path], ...], Path | None]:
    """Controllers of version 1 with their mounts, and the mount of version 2, from the text of /proc/self/mounts."""
    v1: dict[str, Path] = {}
    unified: Path | None = None
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 4:
            continue
        where = Path(fields[1].replace("\\040", " "))
        if fields[2] == "cgroup2" and unified is None:
            unified = where
        elif fields[2] == "cgroup":
            for option in fields[3].split(","):
                if option in NEEDED:
                    v1.setdefault(option, where)
    return tuple(v1.items()), unified


def find_hierarchy(mounts: Path = Path("/proc/self/mounts")) -> Hierarchy:
    """What this machine has."""
    v1, unified = parse_mounts(mounts.read_text())
    controllers: frozenset[str] = frozenset()
    if unified is not None:
        with contextlib.suppress(OSError):
            controllers = frozenset((unified / "cgroup.controllers").read_text().split())
    return Hierarchy(v1, unified, controllers)


def write_value(path: Path, value: str) -> None:
    """Set one file of a group. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def number(path: Path) -> int:
    try:
        return int(path.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def field_of(path: Path, name: str) -> int:
    """The number beside *name* in a file of `name value` lines; 0 when there is none."""
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0
