"""Starting processes and seeing them end, without threads: posix_spawn in, pidfd out.

A process may be our child or one that an earlier engine object started: both are watched the same way, by a pidfd. A pid alone is never
trusted: together with its start time it is an identity.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
from collections.abc import Mapping
from pathlib import Path

_ABOVE = 200
"""Descriptors are first copied up here, so that none of the low target numbers is overwritten before it was copied itself."""

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
"""All that programs on the way into a sandbox see. A tenant's variables are set inside only: LD_PRELOAD must never meet root."""


def spawn(argv: tuple[str, ...], descriptors: Mapping[int, int]) -> int:
    """Start *argv* in a session of its own; *descriptors* maps numbers inside to our descriptors. Returns the pid. Raises OSError.

    Signals are at their defaults inside (Python ignores SIGPIPE, which would be inherited).
    """
    copies = {target: fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, _ABOVE) for target, source in descriptors.items()}
    try:
        actions = [(os.POSIX_SPAWN_DUP2, copy, target) for target, copy in copies.items()]
        return os.posix_spawn(
            argv[0],
            argv,
            ENVIRONMENT,
            file_actions=actions,
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGXFSZ, signal.SIGCHLD),
        )
    finally:
        for copy in copies.values():
            os.close(copy)


def close_on_exec() -> None:
    """Whoever started this process may have left it descriptors; no sandbox inherits them."""
    for entry in Path("/proc/self/fd").iterdir():
        if int(entry.name) > 2:
            with contextlib.suppress(OSError):
                os.set_inheritable(int(entry.name), False)


def start_ticks(pid: int) -> int:
    """When it was started, in clock ticks since boot (proc(5), stat field 22); 0 when it is not there or a zombie."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if after_name[0] in "ZX" else int(after_name[19])


def parent_of(pid: int) -> int:
    """Its parent's pid; 0 when it is not there."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def children(pid: int) -> tuple[int, ...]:
    """The processes that *pid* has started (its main thread), or that were left to it."""
    with contextlib.suppress(OSError, ValueError):
        return tuple(int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return ()


def has_users(pid: int) -> bool:
    """Whether its user namespace maps any user yet: before that nobody can enter it as somebody."""
    with contextlib.suppress(OSError):
        return bool(Path(f"/proc/{pid}/uid_map").read_text())
    return False


def owning_user_namespace(pid: int) -> int:
    """A descriptor of the user namespace that the mount namespace of *pid* belongs to (ioctl_ns(2), NS_GET_USERNS). bubblewrap makes two
    and moves the process into the second, from which the others cannot be entered. Raises OSError."""
    with Path(f"/proc/{pid}/ns/mnt").open("rb") as space:
        return fcntl.ioctl(space.fileno(), 0xB701)


def name_of(pid: int) -> str:
    """The first word of its name; "" when it is not there."""
    try:
        return (Path(f"/proc/{pid}/comm").read_text().split() or [""])[0]
    except OSError:
        return ""


class Process:
    """A watched process. ``ended`` is set once it has exited; ``code`` is its exit code if it was our child, else -1."""

    def __init__(self, pid: int, ticks: int) -> None:
        self.pid = pid
        self.ticks = ticks
        self.code = -1
        self.ended = asyncio.Event()
        self._descriptor = -1
        try:
            self._descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            self.ended.set()
            return
        if ticks and start_ticks(pid) not in {0, ticks}:
            self.forget()
            self.ended.set()
            return
        asyncio.get_running_loop().add_reader(self._descriptor, self._on_end)

    @classmethod
    def started(cls, pid: int) -> Process:
        """One that we have just started."""
        return cls(pid, start_ticks(pid))

    def _on_end(self) -> None:
        with contextlib.suppress(ChildProcessError):
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid == self.pid:
                code = os.waitstatus_to_exitcode(status)
                self.code = 128 - code if code < 0 else code
        self.forget()
        self.ended.set()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal; nothing happens when it has ended."""
        if self._descriptor >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, number)

    def forget(self) -> None:
        """Stop watching; the process goes on."""
        if self._descriptor >= 0:
            with contextlib.suppress(RuntimeError, ValueError):
                asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
