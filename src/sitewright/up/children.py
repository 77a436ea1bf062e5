"""Processes of the supervisor: how one is started, what it inherits, how it is doing. Standard library only: the supervisor is small."""

# pathlib would cost the supervisor a megabyte for its whole life.
# ruff: noqa: PTH123

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time

GOOD_SECONDS = 30.0
LONGEST_DELAY_SECONDS = 10.0
READY_VARIABLE = "SITEWRIGHT_READY_FD"
"""Names the descriptor on which a process says that it is ready, by one byte."""


def restart_delay(failures: int) -> float:
    """Seconds to wait before the next start after the *failures*-th death in a row: at once, then 1, 2, 4, 8, 10, 10 …"""
    return 0.0 if failures <= 1 else min(2.0 ** (failures - 2), LONGEST_DELAY_SECONDS)


def start_ticks(pid: int) -> int:
    """When the process began, in clock ticks since boot; 0 when it is gone or only waits to be reaped. With the pid it names a process
    for ever."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in {b"Z", b"X"} else int(fields[19])


def in_words(status: int) -> str:
    """How a child ended, from waitpid's status."""
    code = os.waitstatus_to_exitcode(status)
    return f"ended by signal {-code}" if code < 0 else f"ended with code {code}"


class Child:
    """One process of the plan and how it has been doing. Times are steady seconds. ``asked``: it ends because it was told to."""

    def __init__(self, spec: dict[str, object]) -> None:
        self.spec = spec
        self.name = str(spec["name"])
        self.pid = 0
        self.started_at = 0.0
        self.failures = 0
        self.due = 0.0
        self.asked = False
        self.ready = -1

    def died(self, now: float) -> float:
        """Note the death; the delay in seconds before the next start."""
        self.failures = 1 if now - self.started_at >= GOOD_SECONDS else self.failures + 1
        self.pid = 0
        delay = restart_delay(self.failures)
        self.due = now + delay
        return delay

    def adopt(self, pid: int) -> None:
        """It runs already."""
        self.pid, self.started_at = pid, time.monotonic() - GOOD_SECONDS

    def number(self, key: str, otherwise: float) -> float:
        """A number of the plan."""
        return float(str(self.spec.get(key, otherwise)))

    def said_ready(self) -> bool | None:
        """Whether it has said so: None as long as nothing is known, False when it cannot say it any more."""
        if self.ready < 0:
            return False
        try:
            word = os.read(self.ready, 1)
        except BlockingIOError:
            return None
        self.forget_ready()
        return bool(word)

    def forget_ready(self) -> None:
        """Close this end of the pipe."""
        if self.ready >= 0:
            os.close(self.ready)
            self.ready = -1


def become(spec: dict[str, object]) -> None:
    """In the child, before exec: own session, default signals, the right user, folder and umask."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.umask(0o022)
    os.chdir(str(spec["cwd"]))
    if os.geteuid() == 0 and spec["uid"]:
        os.initgroups(str(spec["user"]), int(str(spec["gid"])))
        os.setgid(int(str(spec["gid"])))
        os.setuid(int(str(spec["uid"])))


def inherited(spec: dict[str, object], sockets: dict[str, int]) -> dict[str, str]:
    """The variables that name the listening sockets which the process inherits: one number, or `3;4;` as nginx wants several."""
    wanted: dict[str, str | list[str]] = spec.get("sockets", {})  # type: ignore[assignment]
    found = {}
    for variable, names in wanted.items():
        if isinstance(names, str):
            found[variable] = str(sockets[names])
        else:
            found[variable] = "".join(f"{sockets[name]};" for name in names)
    return found


def spawn(spec: dict[str, object], log: str, sockets: dict[str, int] | None = None, ready: int = -1) -> int:
    """Start the process with its output appended to *log*; its pid. A failure to start is in the log and ends the child with 127.

    *ready*: the descriptor on which it says that it is ready.
    """
    argv = [str(word) for word in spec["argv"]]  # type: ignore[attr-defined]
    pid = os.fork()
    if pid:
        return pid
    try:
        env = {**spec["env"], **inherited(spec, sockets or {})}  # type: ignore[dict-item]
        for number in ";".join(inherited(spec, sockets or {}).values()).split(";"):
            if number:
                os.set_inheritable(int(number), True)
        if ready >= 0:
            os.set_inheritable(ready, True)
            env[READY_VARIABLE] = str(ready)
        output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o640)
        nothing = os.open("/dev/null", os.O_RDONLY)
        for source, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        become(spec)
        os.execve(argv[0], argv, env)  # noqa: S606
    except BaseException as error:
        os.write(2, f"could not start {argv[0]}: {error}\n".encode())
    os._exit(127)


def signal_child(pid: int, number: int, *, group: bool = False) -> None:
    """Send a signal, if it is still there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        (os.killpg if group else os.kill)(pid, number)
