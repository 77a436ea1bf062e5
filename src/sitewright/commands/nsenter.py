"""Arguments of the util-linux programs that change where and as whom a program runs: nsenter, prlimit, setsid."""

from __future__ import annotations

NSENTER = "/usr/bin/nsenter"
PRLIMIT = "/usr/bin/prlimit"
OWNER_DESCRIPTOR = 13
OWNER = f"/proc/self/fd/{OWNER_DESCRIPTOR}"
"""For an ordinary user: the user namespace that owns a sandbox's other namespaces, as an inherited descriptor."""
SETSID = "/usr/bin/setsid"


def as_user(uid: int, gid: int) -> tuple[str, ...]:
    """Options: become that user, with that group and no other (nsenter drops supplementary groups with --setgid)."""
    return ("--setgid", str(gid), "--setuid", str(uid))


def in_network(namespace: str, uid: int, gid: int, command: tuple[str, ...]) -> tuple[str, ...]:
    """Run *command* as a user in the network namespace whose file is *namespace*; "" for the caller's own."""
    network = (f"--net={namespace}",) if namespace else ()
    return (NSENTER, *network, *as_user(uid, gid), "--", *command)


def beside(pid: int, command: tuple[str, ...], *, user: tuple[int, int] | None) -> tuple[str, ...]:
    """Run *command* in all namespaces of *pid*: as *user* (uid, gid) when root calls, else as the caller, through the user namespace."""
    spaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd")
    who = as_user(*user) if user else (f"--user={OWNER}", "--preserve-credentials")
    return (NSENTER, "--target", str(pid), *spaces, *who, "--", *command)


def in_network_of(pid: int, command: tuple[str, ...]) -> tuple[str, ...]:
    """As an ordinary user: run *command* in the user and network namespace of *pid*."""
    return (NSENTER, "--target", str(pid), f"--user={OWNER}", "--net", "--preserve-credentials", "--", *command)


def with_network_of(pid: int, command: tuple[str, ...]) -> tuple[str, ...]:
    """As root: run *command* of the host in the network namespace of *pid*."""
    return (NSENTER, f"--net=/proc/{pid}/ns/net", "--", *command)


def limited(open_files: int, command: tuple[str, ...]) -> tuple[str, ...]:
    """Run *command* with at most that many open files and no core dumps."""
    return (PRLIMIT, f"--nofile={open_files}:{open_files}", "--core=0:0", "--", *command)


def with_terminal(command: tuple[str, ...]) -> tuple[str, ...]:
    """Make standard input the controlling terminal of a new session, then become *command*."""
    return (SETSID, "--ctty", "--wait", *command)
