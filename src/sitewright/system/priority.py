"""The platform comes first: its own processes run in a control group that outweighs all tenants together.

The process that becomes the supervisor joins the group and everything it starts inherits it; the engine moves sites and builds out, into
groups of their own (``system.cgroups``).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from pathlib import Path

from sitewright.domain.limits import USUAL_WEIGHT, cpu_shares
from sitewright.system.hierarchy import Hierarchy, find_hierarchy, write_value

PLATFORM_WEIGHT = 10 * USUAL_WEIGHT
"""Sites and builds together have the usual weight: when everybody wants the processors, the platform gets ten times as much."""
KILLED_LAST = -500
"""Taken from the badness of the platform's processes when the machine is out of memory; needs CAP_SYS_RESOURCE, which containers lack."""

SLICE_NANOSECONDS = 100_000
"""How long a process runs before one that has just woken up may take its place: 0.1 ms, the least the kernel takes, instead of some
milliseconds. Everything that the platform starts inherits it, sites too. Linux before 6.12 ignores it."""
LONG_SLICE_NANOSECONDS = 20_000_000
"""The same for builds, the other way round."""
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_LAST_OF_BEST_EFFORT = 2 << 13 | 7
"""ioprio_set(2): the class that everybody is in, its last level. The idle class would let a busy disk starve builds for ever."""
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")
"""struct sched_attr (sched_setattr(2)): size, policy, flags, nice, priority, runtime, deadline, period."""


def shorten_slices() -> None:
    """Let this process, and so what it will start, make room sooner for who has waited. Where the kernel cannot, nothing changes."""
    call = _SCHED_SETATTR.get(os.uname().machine)
    if call is not None and os.sched_getscheduler(0) == os.SCHED_OTHER:
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        ctypes.CDLL(None).syscall(call, 0, _ATTRIBUTES.pack(_ATTRIBUTES.size, os.SCHED_OTHER, 0, nice, 0, SLICE_NANOSECONDS, 0, 0), 0)


def stand_back(pid: int) -> None:
    """Let a process, and what it will start, wait behind others: for the disk, where its scheduler knows such a thing, and for a processor
    when it wakes up (SCHED_BATCH). Once it runs it runs longer at a time, so that who has waited for less comes first, and it is switched
    less often."""
    machine = os.uname().machine
    if machine in _IOPRIO_SET and machine in _SCHED_SETATTR:
        system = ctypes.CDLL(None)
        system.syscall(_IOPRIO_SET[machine], 1, pid, _LAST_OF_BEST_EFFORT)
        attributes = _ATTRIBUTES.pack(_ATTRIBUTES.size, os.SCHED_BATCH, 0, 0, 0, LONG_SLICE_NANOSECONDS, 0, 0)
        system.syscall(_SCHED_SETATTR[machine], pid, attributes, 0)


def group_folders(tag: str, hierarchy: Hierarchy) -> tuple[Path, ...]:
    """The platform's group wherever the processors' share can be set; () when it cannot."""
    root = hierarchy.folder("cpu")
    return () if root is None else (root / f"sw-{tag}-platform",)


def managed_elsewhere(cgroup: str) -> bool:
    """Whether a service manager has put this process into a group of version 2 that it must stay in (its unit carries the weight then).

    *cgroup* is the text of /proc/self/cgroup.
    """
    own = next((line.removeprefix("0::") for line in cgroup.splitlines() if line.startswith("0::")), "/")
    return own.rstrip("/").rpartition("/")[2].endswith(".service")


def join(tag: str) -> tuple[Path, ...]:
    """Put this process, and so what it will start, before all tenants. The folders joined; () where that is not possible."""
    shorten_slices()
    with contextlib.suppress(OSError):
        write_value(Path("/proc/self/oom_score_adj"), str(KILLED_LAST))
    if os.geteuid() != 0:
        return ()
    try:
        hierarchy = find_hierarchy()
        v2 = hierarchy.is_v2("cpu")
        if v2 and managed_elsewhere(Path("/proc/self/cgroup").read_text()):
            return ()
        return tuple(folder for folder in group_folders(tag, hierarchy) if _join(folder, v2=v2))
    except OSError:
        return ()


def _join(folder: Path, *, v2: bool) -> bool:
    if v2:
        with contextlib.suppress(OSError):
            write_value(folder.parent / "cgroup.subtree_control", "+cpu")
        with contextlib.suppress(OSError):
            write_value(folder.parent / "cgroup.subtree_control", "+io")
    with contextlib.suppress(OSError):
        folder.mkdir(exist_ok=True)
        write_value(folder / ("cpu.weight" if v2 else "cpu.shares"), str(PLATFORM_WEIGHT if v2 else cpu_shares(PLATFORM_WEIGHT)))
        write_value(folder / "cgroup.procs", "0")
        if (folder / "io.weight").exists():
            write_value(folder / "io.weight", str(PLATFORM_WEIGHT))
        return True
    return False


def remove(tag: str) -> None:
    """Remove the group when nobody is in it any more."""
    with contextlib.suppress(OSError):
        for folder in group_folders(tag, find_hierarchy()):
            folder.rmdir()


def in_place(tag: str, pid: int) -> bool:
    """Whether process *pid* of the platform comes before all tenants: it is in the platform's group, or in a service manager's."""
    try:
        cgroup = Path(f"/proc/{pid}/cgroup").read_text()
        return f"/sw-{tag}-platform" in cgroup or (find_hierarchy().is_v2("cpu") and managed_elsewhere(cgroup))
    except OSError:
        return False
