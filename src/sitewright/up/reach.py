"""Making the program reachable for the users that its parts run as.

A clone in root's home folder (0700) cannot be read by the manager's user. Then, as root, the repository is bound read-only to the run
folder, and everything is started from there.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from sitewright.config.paths import Paths
from sitewright.system.accounts import is_root
from sitewright.system.processes import check_blocking
from sitewright.up.survey import enterable_by_others

ROOT = Path(__file__).resolve().parents[3]
"""The folder that holds src/ and .venv/."""


@dataclass(frozen=True, slots=True)
class Program:
    """From where the parts are started: the Python and the folder of the source."""

    python: str
    source: str


def _here() -> Program:
    return Program(python=sys.executable, source=str(ROOT / "src"))


def bound_folder(paths: Paths) -> Path:
    """Where the repository is bound."""
    return paths.run / "code"


def is_mounted(target: Path) -> bool:
    """Whether something is mounted there. os.path.ismount() does not see a bind mount of the same file system."""
    wanted = str(target)
    return any(line.split()[4] == wanted for line in Path("/proc/self/mountinfo").read_text().splitlines())


def reachable_program(paths: Paths) -> Program:
    """The program where other users can read it; binds it when they cannot. Raises CommandFailedError when the bind mount is refused."""
    here = _here()
    if not is_root() or (enterable_by_others(ROOT / "src") is None and enterable_by_others(Path(sys.prefix)) is None):
        return here
    target = bound_folder(paths)
    target.mkdir(parents=True, exist_ok=True)
    if not is_mounted(target):
        check_blocking(["mount", "--bind", str(ROOT), str(target)])
        check_blocking(["mount", "-o", "remount,bind,ro,nosuid", str(target)])
    inside = Path(sys.executable).relative_to(ROOT) if Path(sys.executable).is_relative_to(ROOT) else None
    return Program(python=str(target / inside) if inside else sys.executable, source=str(target / "src"))


def unbind(paths: Paths) -> None:
    """Take the bind mount away, also when something still uses it."""
    target = bound_folder(paths)
    while is_mounted(target):
        check_blocking(["umount", "--lazy", str(target)])
