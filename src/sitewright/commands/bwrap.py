"""Arguments of bubblewrap (`man 1 bwrap`).

Options travel through a descriptor (`--args`), so environment values never show in a process list.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

BWRAP = "/usr/bin/bwrap"


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Which inherited descriptor numbers bubblewrap uses."""

    arguments: int = 10
    seccomp: int = 11
    status: int = 12
    info: int = 15


def bwrap(command: tuple[str, ...], descriptors: Descriptors | None = None) -> tuple[str, ...]:
    """The argv: everything but the command is read from the arguments' descriptor, for which bubblewrap waits."""
    fds = descriptors or Descriptors()
    return (BWRAP, "--args", str(fds.arguments), "--", *command)


def encode(options: Iterable[str]) -> bytes:
    """Options as `--args` wants them: each ended by NUL. Raises ValueError when one holds a NUL itself."""
    parts = tuple(options)
    if any("\0" in part for part in parts):
        raise ValueError("an option holds a NUL character")
    return b"".join(part.encode(errors="surrogateescape") + b"\0" for part in parts)


def namespaces(*, own_network: bool) -> tuple[str, ...]:
    """Every namespace of its own; the network only when nobody prepared one."""
    options = ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
    return (*options, "--unshare-net") if own_network else options


def identity(uid: int, gid: int, hostname: str) -> tuple[str, ...]:
    """Who the process is inside, and what its machine is called."""
    return ("--uid", str(uid), "--gid", str(gid), "--hostname", hostname)


def environment(variables: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Nothing of the caller's environment, only *variables*; of one named twice the last counts."""
    options: list[str] = ["--clearenv"]
    for name, value in dict(variables).items():
        options += ("--setenv", name, value)
    return tuple(options)


def bind(source: str, target: str, *, writable: bool = False) -> tuple[str, ...]:
    """Show a file or folder of the host inside."""
    return ("--bind" if writable else "--ro-bind", source, target)


def bind_if_there(source: str, target: str) -> tuple[str, ...]:
    """Show it read-only, or nothing when the host has none."""
    return ("--ro-bind-try", source, target)


def tmpfs(target: str, size: int, mode: str = "1777") -> tuple[str, ...]:
    """A private folder in memory of at most *size* bytes; it counts as the sandbox's own memory."""
    return ("--perms", mode, "--size", str(size), "--tmpfs", target)


def sealed() -> tuple[str, ...]:
    """Last of all mounts: the made-up root and /dev take no more files."""
    return ("--remount-ro", "/dev", "--remount-ro", "/")


def confined(descriptors: Descriptors | None = None, *, status: bool = True) -> tuple[str, ...]:
    """No capability, the system call filter, and the status file."""
    fds = descriptors or Descriptors()
    options = ("--cap-drop", "ALL", "--seccomp", str(fds.seccomp))
    return (*options, "--json-status-fd", str(fds.status)) if status else options


def told(descriptors: Descriptors | None = None) -> tuple[str, ...]:
    """Say which process is the first inside as soon as it is there, while the rest of the sandbox is still being made."""
    return ("--info-fd", str((descriptors or Descriptors()).info))
