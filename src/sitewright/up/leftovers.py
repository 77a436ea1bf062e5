"""Who runs a platform: its lock and the notes of its supervisor; and ending what a killed supervisor left behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from sitewright.config.paths import Paths
from sitewright.errors import PreflightError
from sitewright.up.children import start_ticks

PARTS = ("nginx", "ssh", "manager", "node", "nats")
"""In the order in which they are ended."""
STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Part:
    """A noted process. ``alive`` is false when the pid is gone or belongs to another process by now."""

    name: str
    pid: int
    alive: bool


def notes_folder(paths: Paths) -> Path:
    """Where the supervisor notes who runs: `<name>.pid`."""
    return paths.run / "pids"


def lock_file(paths: Paths) -> Path:
    """Held for as long as a supervisor runs."""
    return paths.home / "up.lock"


def noted(paths: Paths, name: str) -> Part:
    """What the note about *name* says; pid 0 when there is none."""
    try:
        pid, ticks = (int(word) for word in (notes_folder(paths) / f"{name}.pid").read_text().split())
    except (OSError, ValueError):
        return Part(name, 0, False)
    return Part(name, pid, ticks != 0 and start_ticks(pid) == ticks)


def parts(paths: Paths) -> tuple[Part, ...]:
    """All parts of the platform as noted; those that a successor was replacing, too."""
    old = sorted(path.name.removesuffix(".pid") for path in notes_folder(paths).glob("*.old.*.pid"))
    return tuple(noted(paths, name) for name in (*PARTS, *old))


def take_lock(paths: Paths) -> int:
    """The descriptor of the lock, held until it is closed. Raises PreflightError when another supervisor holds it."""
    descriptor = os.open(lock_file(paths), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise PreflightError(
            f"A platform with the data folder {paths.home} is being started or runs already.", resolution="End it with `sitewright down`."
        ) from error
    return descriptor


def lock_holder(paths: Paths) -> int:
    """The pid of the supervisor that runs this platform; 0 when none does, -1 when one holds the lock but has no note yet."""
    try:
        descriptor = os.open(lock_file(paths), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return noted(paths, "supervisor").pid or -1
    finally:
        os.close(descriptor)
    return 0


def wait_until_gone(pids: list[int], ticks: list[int], seconds: float) -> bool:
    """Whether all of the processes (pid with its start ticks) have ended within *seconds*."""
    deadline = time.monotonic() + seconds
    while any(start_ticks(pid) == tick for pid, tick in zip(pids, ticks, strict=True)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def end_leftovers(paths: Paths) -> tuple[str, ...]:
    """End the noted processes of a supervisor that was killed; their names. Only call while holding the lock."""
    left = [part for part in parts(paths) if part.alive]
    ticks = [start_ticks(part.pid) for part in left]
    for part in left:
        _signal(part, signal.SIGTERM)
    if not wait_until_gone([part.pid for part in left], ticks, STOP_SECONDS):
        for part in left:
            _signal(part, signal.SIGKILL)
        wait_until_gone([part.pid for part in left], ticks, 2.0)
    for note in notes_folder(paths).glob("*.pid"):
        note.unlink(missing_ok=True)
    return tuple(part.name for part in left)


def _signal(part: Part, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        # nginx's workers outlive a killed master and keep the port: its whole group gets the signal.
        if part.name.partition(".")[0] == "nginx":
            os.killpg(part.pid, number)
        else:
            os.kill(part.pid, number)
