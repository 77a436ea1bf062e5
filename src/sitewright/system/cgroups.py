"""Control groups of Linux, version 1 and 2 and both at once: limits, use, freezing, killing.

Each named group is a folder in every hierarchy that is needed, below one parent folder per platform: `<parent>/sites/ID` is an instance,
`<parent>/builds/j-ID` a job. What all of them together may take is bounded by these folders, so that the platform itself, which is not
below them (see ``system.priority``), comes first. Files are tiny and in memory, so calls do not block for long.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sitewright.domain.limits import USUAL_WEIGHT, Limits, cpu_shares
from sitewright.system.hierarchy import NEEDED, Hierarchy, field_of, number, write_value
from sitewright.system.priority import stand_back

CPU_PERIOD_MICROSECONDS = 100_000
OVERHEAD_PIDS = 6
"""bubblewrap's own processes and the relay count too; the tenant is given its full number."""
JOB_PREFIX = "j-"
SITES, BUILDS = "sites", "builds"
BUILD_WEIGHT = 25
"""When all want the processors, all builds together get a fifth of what sites and builds get."""
KILLED_FIRST = {SITES: 500, BUILDS: 800}
"""Added to the badness of a process when the whole machine is out of memory (proc(5), oom_score_adj): builds go first, then sites."""
RESERVED_MEMORY_SHARE, LEAST_RESERVED_BYTES = 0.05, 256 * 1024 * 1024
"""What sites and builds together leave of the machine's memory for the platform."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Use so far: memory now in bytes, CPU in seconds, processes now."""

    memory_bytes: int = 0
    cpu_seconds: float = 0.0
    pids: int = 0


@dataclass(frozen=True, slots=True)
class Pressure:
    """How often limits held the group back since it was made: CPU periods and those of them in which it was stopped, forks refused,
    processes killed for memory."""

    periods: int = 0
    throttled: int = 0
    forks_refused: int = 0
    memory_kills: int = 0


def tenants_memory(total: int) -> int:
    """Bytes of a machine with *total* that sites and builds may take together."""
    return total - min(total // 2, max(LEAST_RESERVED_BYTES, int(total * RESERVED_MEMORY_SHARE)))


def _machine_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _most_tasks() -> int:
    """Three quarters of the processes and threads that this kernel can have."""
    found = [number(Path("/proc/sys/kernel") / name) for name in ("pid_max", "threads-max")]
    return min(number for number in (*found, 4_194_304) if number) * 3 // 4


def branch_of(name: str) -> str:
    """The folder below the parent that a group belongs in."""
    return BUILDS if name.startswith(JOB_PREFIX) else SITES


class ControlGroups:
    """The groups of one platform: folders named *parent*/sites/NAME or *parent*/builds/NAME in every hierarchy."""

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
        """Make the parent folders and bound what all tenants together may take. Raises OSError when this user may not."""
        for root in self._roots:
            folders = (root / self.parent, root / self.parent / SITES, root / self.parent / BUILDS)
            if root == self.hierarchy.unified:
                self._delegate(root)
            for folder in folders:
                folder.mkdir(exist_ok=True)
                if root == self.hierarchy.unified:
                    self._delegate(folder)
                    self._check_delegated(folder)
        self._bound_all()

    def _bound_all(self) -> None:
        """What is not there on this kernel is left out: every single group has its own limits anyway."""
        memory, pids = self._top("memory"), self._top("pids")
        if memory is not None:
            name = "memory.max" if self.hierarchy.is_v2("memory") else "memory.limit_in_bytes"
            with contextlib.suppress(OSError):
                write_value(memory / name, str(tenants_memory(_machine_memory())))
        if pids is not None:
            with contextlib.suppress(OSError):
                write_value(pids / "pids.max", str(_most_tasks()))
        for branch, weight in ((SITES, USUAL_WEIGHT), (BUILDS, BUILD_WEIGHT)):
            with contextlib.suppress(OSError):
                self._weigh(branch, weight)
            if self.hierarchy.is_v2("io") and self.hierarchy.unified is not None:
                with contextlib.suppress(OSError):
                    write_value(self.hierarchy.unified / self.parent / branch / "io.weight", str(weight))

    def _weigh(self, below: str, weight: int) -> None:
        folder = self._top("cpu")
        if folder is not None:
            v2 = self.hierarchy.is_v2("cpu")
            write_value(folder / below / ("cpu.weight" if v2 else "cpu.shares"), str(weight if v2 else cpu_shares(weight)))

    def set_weight(self, name: str, weight: int) -> None:
        """Change a group's share of the processors against its neighbours'. Raises OSError when it is gone."""
        self._weigh(f"{branch_of(name)}/{name}", weight)

    def weight(self, name: str) -> int:
        """A group's share now, as version 2 counts it; 0 when it does not exist."""
        folder = self._folder("cpu", name)
        if folder is None:
            return 0
        if self.hierarchy.is_v2("cpu"):
            return number(folder / "cpu.weight")
        return -(-number(folder / "cpu.shares") * USUAL_WEIGHT // 1024)

    def _top(self, controller: str) -> Path | None:
        root = self.hierarchy.folder(controller)
        return None if root is None else root / self.parent

    def _check_delegated(self, folder: Path) -> None:
        # A container's root group has processes of its own and passes no controller on (the kernel's "no internal processes" rule).
        given = (folder / "cgroup.subtree_control").read_text().split()
        refused = [name for name in ("memory", "cpu", "pids") if self.hierarchy.is_v2(name) and name not in given]
        if refused:
            raise OSError(f"the control group {folder} does not pass on {', '.join(refused)}")

    def _delegate(self, folder: Path) -> None:
        wanted = [name for name in ("memory", "cpu", "pids", "io") if self.hierarchy.is_v2(name)]
        for name in wanted:
            with contextlib.suppress(OSError):
                write_value(folder / "cgroup.subtree_control", f"+{name}")

    def folders(self, name: str) -> tuple[Path, ...]:
        """The group's folder in each hierarchy."""
        return tuple(root / self.parent / branch_of(name) / name for root in self._roots)

    def names(self) -> frozenset[str]:
        """Every group of an instance or job, whoever made it."""
        found: set[str] = set()
        for root in self._roots:
            for branch in (SITES, BUILDS):
                with contextlib.suppress(OSError):
                    entries = os.scandir(root / self.parent / branch)
                    found.update(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        return frozenset(found)

    def create(self, name: str, limits: Limits) -> None:
        """Make the group and set its limits. Raises OSError."""
        self.make(name)
        self._limit_memory(name, limits)
        self._limit_cpu(name, limits)
        folder = self._folder("pids", name)
        if folder is not None:
            write_value(folder / "pids.max", str(limits.pids + OVERHEAD_PIDS))

    def make(self, name: str) -> None:
        """Make the group without limits of its own: "NAME/PART" is a part of NAME and shares its limits. Raises OSError."""
        for folder in self.folders(name):
            folder.mkdir(exist_ok=True)

    def _folder(self, controller: str, name: str) -> Path | None:
        root = self.hierarchy.folder(controller)
        return None if root is None else root / self.parent / branch_of(name) / name

    def _limit_memory(self, name: str, limits: Limits) -> None:
        folder = self._folder("memory", name)
        if folder is None:
            return
        if self.hierarchy.is_v2("memory"):
            write_value(folder / "memory.max", str(limits.memory_bytes))
            with contextlib.suppress(OSError):
                write_value(folder / "memory.swap.max", "0")
            with contextlib.suppress(OSError):
                write_value(folder / "memory.oom.group", "1")
            return
        write_value(folder / "memory.limit_in_bytes", str(limits.memory_bytes))
        with contextlib.suppress(OSError):
            write_value(folder / "memory.memsw.limit_in_bytes", str(limits.memory_bytes))

    def _limit_cpu(self, name: str, limits: Limits) -> None:
        folder = self._folder("cpu", name)
        if folder is None:
            return
        quota = max(1000, CPU_PERIOD_MICROSECONDS * limits.cpu_millicores // 1000)
        if self.hierarchy.is_v2("cpu"):
            write_value(folder / "cpu.max", f"{quota} {CPU_PERIOD_MICROSECONDS}")
            write_value(folder / "cpu.weight", str(min(10_000, max(1, limits.cpu_weight))))
            return
        write_value(folder / "cpu.cfs_period_us", str(CPU_PERIOD_MICROSECONDS))
        write_value(folder / "cpu.cfs_quota_us", str(quota))
        write_value(folder / "cpu.shares", str(cpu_shares(limits.cpu_weight)))

    def add(self, name: str, pid: int) -> None:
        """Move a process into the group; what it starts later is in it from birth. Raises OSError when it has ended.

        When the whole machine runs out of memory it is also among those that the kernel ends first.
        """
        with contextlib.suppress(OSError):
            write_value(Path(f"/proc/{pid}/oom_score_adj"), str(KILLED_FIRST[branch_of(name)]))
        if branch_of(name) == BUILDS:
            stand_back(pid)
        for folder in self.folders(name):
            write_value(folder / "cgroup.procs", str(pid))

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
                write_value(unified / self.parent / branch_of(name) / name / "cgroup.kill", "1")
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
        if unified is not None and (unified / self.parent / branch_of(name) / name / "cgroup.freeze").exists():
            write_value(unified / self.parent / branch_of(name) / name / "cgroup.freeze", "1" if frozen else "0")
            return
        folder = self._folder("freezer", name)
        if folder is None:
            raise OSError("no freezer control group")
        write_value(folder / "freezer.state", "FROZEN" if frozen else "THAWED")

    def frozen(self, name: str) -> bool:
        """Whether it was asked to freeze."""
        unified = self.hierarchy.unified
        if unified is not None and (unified / self.parent / branch_of(name) / name / "cgroup.freeze").exists():
            return number(unified / self.parent / branch_of(name) / name / "cgroup.freeze") == 1
        folder = self._folder("freezer", name)
        with contextlib.suppress(OSError):
            return folder is not None and (folder / "freezer.state").read_text().strip() != "THAWED"
        return False

    def oom_kills(self, name: str) -> int:
        """How many processes the memory limit has killed."""
        folder = self._folder("memory", name)
        if folder is None:
            return 0
        return field_of(folder / ("memory.events" if self.hierarchy.is_v2("memory") else "memory.oom_control"), "oom_kill")

    def pressure(self, name: str) -> Pressure:
        """How often its limits held it back; zeros when it does not exist."""
        cpu, pids = self._folder("cpu", name), self._folder("pids", name)
        return Pressure(
            periods=field_of(cpu / "cpu.stat", "nr_periods") if cpu else 0,
            throttled=field_of(cpu / "cpu.stat", "nr_throttled") if cpu else 0,
            forks_refused=field_of(pids / "pids.events", "max") if pids else 0,
            memory_kills=self.oom_kills(name),
        )

    def usage(self, name: str) -> Usage:
        """What it uses now; zeros when it does not exist. Memory is without file pages that could be dropped at once."""
        memory = 0
        folder = self._folder("memory", name)
        if folder is not None:
            v2 = self.hierarchy.is_v2("memory")
            used = number(folder / ("memory.current" if v2 else "memory.usage_in_bytes"))
            memory = max(0, used - field_of(folder / "memory.stat", "inactive_file" if v2 else "total_inactive_file"))
        return Usage(memory, self.cpu_seconds(name), len(self.pids(name)))

    def cpu_seconds(self, name: str) -> float:
        """CPU time that the group has had; 0 when it does not exist."""
        return self._used(f"{branch_of(name)}/{name}")

    def cpu_seconds_of_sites(self) -> float:
        """CPU time that all instances together have had."""
        return self._used(SITES)

    def _used(self, below: str) -> float:
        folder = self._top("cpuacct")
        if folder is not None and not self.hierarchy.is_v2("cpuacct"):
            return number(folder / below / "cpuacct.usage") / 1e9
        folder = self._top("cpu")
        return 0.0 if folder is None else field_of(folder / below / "cpu.stat", "usage_usec") / 1e6

    def remove(self, name: str) -> bool:
        """Remove the group and its parts once they are empty; False while something is in it."""
        parts: list[Path] = []
        for folder in self.folders(name):
            with contextlib.suppress(OSError):
                parts += [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
        return _remove((*parts, *self.folders(name)))

    def remove_parent(self) -> bool:
        """Remove the parent folders when no group is left below them."""
        branches = (root / self.parent / branch for root in self._roots for branch in (SITES, BUILDS))
        return _remove((*branches, *(root / self.parent for root in self._roots)))


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
