"""Control groups of Linux, version 1 and 2 and both at once: limits, use, freezing, killing.

Each named group is a folder in every hierarchy that is needed, below one parent folder per platform. Files are tiny and in memory, so
calls do not block for long (creating six groups takes 0.25 ms).
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sitewright.domain.limits import Limits

NEEDED = ("memory", "cpu", "pids", "cpuacct", "freezer")
CPU_PERIOD_MICROSECONDS = 100_000
OVERHEAD_PIDS = 6
"""bubblewrap's own processes and the relay count too; the tenant is given its full number."""


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


@dataclass(frozen=True, slots=True)
class Usage:
    """Use so far: memory now in bytes, CPU in seconds, processes now."""

    memory_bytes: int = 0
    cpu_seconds: float = 0.0
    pids: int = 0


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


def _write(path: Path, value: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def _number(path: Path) -> int:
    try:
        return int(path.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def _field(path: Path, name: str) -> int:
    """The number beside *name* in a file of `name value` lines; 0 when there is none."""
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0


class ControlGroups:
    """The groups of one platform: folders named *parent*/NAME in every hierarchy."""

    def __init__(self, hierarchy: Hierarchy, parent: str) -> None:
        self.hierarchy = hierarchy
        self.parent = parent
        roots = [hierarchy.folder(controller) for controller in NEEDED]
        if hierarchy.unified is not None:
            roots.append(hierarchy.unified)
        self._roots = tuple(dict.fromkeys(root for root in roots if root is not None))

    @property
    def works(self) -> bool:
        """Whether memory, CPU and processes can all be limited."""
        return bool(self._roots) and not self.missing

    @property
    def missing(self) -> tuple[str, ...]:
        """Of memory, cpu, pids: those that cannot be limited here."""
        return tuple(name for name in ("memory", "cpu", "pids") if self.hierarchy.folder(name) is None)

    def prepare(self) -> None:
        """Make the parent folders. Raises OSError when this user may not."""
        for root in self._roots:
            if root == self.hierarchy.unified:
                self._delegate(root)
            (root / self.parent).mkdir(exist_ok=True)
            if root == self.hierarchy.unified:
                self._delegate(root / self.parent)
                self._check_delegated(root / self.parent)

    def _check_delegated(self, folder: Path) -> None:
        # A container's root group has processes of its own and passes no controller on (the kernel's "no internal processes" rule).
        given = (folder / "cgroup.subtree_control").read_text().split()
        refused = [name for name in ("memory", "cpu", "pids") if self.hierarchy.is_v2(name) and name not in given]
        if refused:
            raise OSError(f"the control group {folder} does not pass on {', '.join(refused)}")

    def _delegate(self, folder: Path) -> None:
        wanted = [name for name in ("memory", "cpu", "pids") if self.hierarchy.is_v2(name)]
        for name in wanted:
            with contextlib.suppress(OSError):
                _write(folder / "cgroup.subtree_control", f"+{name}")

    def folders(self, name: str) -> tuple[Path, ...]:
        """The group's folder in each hierarchy."""
        return tuple(root / self.parent / name for root in self._roots)

    def names(self) -> frozenset[str]:
        """Every group below the parent, whoever made it."""
        found: set[str] = set()
        for root in self._roots:
            with contextlib.suppress(OSError):
                found.update(entry.name for entry in os.scandir(root / self.parent) if entry.is_dir(follow_symlinks=False))
        return frozenset(found)

    def create(self, name: str, limits: Limits) -> None:
        """Make the group and set its limits. Raises OSError."""
        self.make(name)
        self._limit_memory(name, limits)
        self._limit_cpu(name, limits)
        folder = self._folder("pids", name)
        if folder is not None:
            _write(folder / "pids.max", str(limits.pids + OVERHEAD_PIDS))

    def make(self, name: str) -> None:
        """Make the group without limits of its own: "NAME/PART" is a part of NAME and shares its limits. Raises OSError."""
        for folder in self.folders(name):
            folder.mkdir(exist_ok=True)

    def _folder(self, controller: str, name: str) -> Path | None:
        root = self.hierarchy.folder(controller)
        return None if root is None else root / self.parent / name

    def _limit_memory(self, name: str, limits: Limits) -> None:
        folder = self._folder("memory", name)
        if folder is None:
            return
        if self.hierarchy.is_v2("memory"):
            _write(folder / "memory.max", str(limits.memory_bytes))
            with contextlib.suppress(OSError):
                _write(folder / "memory.swap.max", "0")
            with contextlib.suppress(OSError):
                _write(folder / "memory.oom.group", "1")
            return
        _write(folder / "memory.limit_in_bytes", str(limits.memory_bytes))
        with contextlib.suppress(OSError):
            _write(folder / "memory.memsw.limit_in_bytes", str(limits.memory_bytes))

    def _limit_cpu(self, name: str, limits: Limits) -> None:
        folder = self._folder("cpu", name)
        if folder is None:
            return
        quota = max(1000, CPU_PERIOD_MICROSECONDS * limits.cpu_millicores // 1000)
        if self.hierarchy.is_v2("cpu"):
            _write(folder / "cpu.max", f"{quota} {CPU_PERIOD_MICROSECONDS}")
            _write(folder / "cpu.weight", str(min(10_000, max(1, limits.cpu_millicores // 10))))
            return
        _write(folder / "cpu.cfs_period_us", str(CPU_PERIOD_MICROSECONDS))
        _write(folder / "cpu.cfs_quota_us", str(quota))
        _write(folder / "cpu.shares", str(max(2, 1024 * limits.cpu_millicores // 1000)))

    def add(self, name: str, pid: int) -> None:
        """Move a process into the group; what it starts later is in it from birth. Raises OSError when it has ended."""
        for folder in self.folders(name):
            _write(folder / "cgroup.procs", str(pid))

    def pids(self, name: str) -> tuple[int, ...]:
        """Every process in the group."""
        for folder in self.folders(name):
            with contextlib.suppress(OSError, ValueError):
                return tuple(int(line) for line in (folder / "cgroup.procs").read_text().split())
        return ()

    def kill(self, name: str) -> None:
        """SIGKILL to every process in it, frozen or not. In one step where the kernel can; else call again until ``pids`` is empty."""
        unified = self.hierarchy.unified
        if unified is not None:
            with contextlib.suppress(OSError):
                _write(unified / self.parent / name / "cgroup.kill", "1")
                self.thaw(name)
                return
        for pid in self.pids(name):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        self.thaw(name)

    @property
    def can_freeze(self) -> bool:
        """Whether a freezer is there."""
        return self.hierarchy.unified is not None or self.hierarchy.folder("freezer") is not None

    def freeze(self, name: str) -> None:
        """Stop the clock of every process in it. Raises OSError when there is no freezer."""
        self._set_frozen(name, frozen=True)

    def thaw(self, name: str) -> None:
        """Let them go on."""
        with contextlib.suppress(OSError):
            self._set_frozen(name, frozen=False)

    def _set_frozen(self, name: str, *, frozen: bool) -> None:
        unified = self.hierarchy.unified
        if unified is not None and (unified / self.parent / name / "cgroup.freeze").exists():
            _write(unified / self.parent / name / "cgroup.freeze", "1" if frozen else "0")
            return
        folder = self._folder("freezer", name)
        if folder is None:
            raise OSError("no freezer control group")
        _write(folder / "freezer.state", "FROZEN" if frozen else "THAWED")

    def frozen(self, name: str) -> bool:
        """Whether it was asked to freeze."""
        unified = self.hierarchy.unified
        if unified is not None and (unified / self.parent / name / "cgroup.freeze").exists():
            return _number(unified / self.parent / name / "cgroup.freeze") == 1
        folder = self._folder("freezer", name)
        with contextlib.suppress(OSError):
            return folder is not None and (folder / "freezer.state").read_text().strip() != "THAWED"
        return False

    def oom_kills(self, name: str) -> int:
        """How many processes the memory limit has killed."""
        folder = self._folder("memory", name)
        if folder is None:
            return 0
        return _field(folder / ("memory.events" if self.hierarchy.is_v2("memory") else "memory.oom_control"), "oom_kill")

    def usage(self, name: str) -> Usage:
        """What it uses now; zeros when it does not exist. Memory is without file pages that could be dropped at once."""
        memory = 0
        folder = self._folder("memory", name)
        if folder is not None:
            v2 = self.hierarchy.is_v2("memory")
            used = _number(folder / ("memory.current" if v2 else "memory.usage_in_bytes"))
            memory = max(0, used - _field(folder / "memory.stat", "inactive_file" if v2 else "total_inactive_file"))
        return Usage(memory, self._cpu_seconds(name), len(self.pids(name)))

    def _cpu_seconds(self, name: str) -> float:
        folder = self._folder("cpuacct", name)
        if folder is not None and not self.hierarchy.is_v2("cpuacct"):
            return _number(folder / "cpuacct.usage") / 1e9
        folder = self._folder("cpu", name)
        return 0.0 if folder is None else _field(folder / "cpu.stat", "usage_usec") / 1e6

    def remove(self, name: str) -> bool:
        """Remove the group and its parts once they are empty; False while something is in it."""
        parts: list[Path] = []
        for folder in self.folders(name):
            with contextlib.suppress(OSError):
                parts += [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
        return _remove((*parts, *self.folders(name)))

    def remove_parent(self) -> bool:
        """Remove the parent folders when no group is left below them."""
        return _remove(root / self.parent for root in self._roots)


def _remove(folders: Iterable[Path]) -> bool:
    gone = True
    for folder in folders:
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            gone = False
    return gone
