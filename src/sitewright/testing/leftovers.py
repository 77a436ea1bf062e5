"""What a test run has left on the machine: processes, networks, rules, control groups, mounts and run folders of its platforms.

While tests run, the plugin notes the name of every platform in the file that ``SITEWRIGHT_TEST_NAMES`` names. Afterwards
`python -m sitewright.testing.leftovers FILE FOLDER` prints what is still there of those names, or of anything below FOLDER (the run's
temporary folder), and ends with 1 when there is something. Other people's platforms are never looked at.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from sitewright.config import paths
from sitewright.system.processes import run_blocking

NAMES_VARIABLE = "SITEWRIGHT_TEST_NAMES"
GRACE_SECONDS = 15.0
GROUP_DEPTH = 3


def note(name: str) -> None:
    """Remember that this run uses *name*; does nothing when nobody asked to."""
    file = os.environ.get(NAMES_VARIABLE)
    if file:
        with Path(file).open("a") as names:
            names.write(f"{name}\n")


def note_platforms() -> None:
    """From now on note every platform that a test gives a data folder to."""
    original, noted = paths.platform_tag, set[str]()

    def noting(home: Path) -> str:
        tag = original(home)
        if tag not in noted:
            noted.add(tag)
            note(tag)
        return tag

    paths.platform_tag = noting


def _lines(*argv: str) -> list[str]:
    done = run_blocking(argv, timeout=30)
    return done.output.decode().splitlines() if done.ok else []


def _groups() -> Iterator[str]:
    root = Path("/sys/fs/cgroup")
    for depth in range(1, GROUP_DEPTH + 1):
        yield from (str(path) for path in root.glob("/".join("*" * depth)) if "sw-" in path.name)


def _named() -> Iterator[str]:
    """Everything on this machine that carries the name of a platform."""
    yield from (f"folder {path}" for path in Path("/run").glob("sw-*"))
    yield from (f"network namespace {path}" for path in Path("/run/netns").glob("sw*"))
    yield from (f"rules: {line}" for line in _lines("nft", "list", "tables"))
    yield from (f"interface: {line.split('@')[0]}" for line in _lines("ip", "-o", "link", "show"))
    yield from (f"control group {path}" for path in _groups())


def _processes(folder: str) -> Iterator[str]:
    """Processes of this run's platforms that still live: they were given a path below its folder, or stand in it."""
    own = {os.getpid(), os.getppid()}
    for entry in Path("/proc").glob("[0-9]*"):
        if int(entry.name) in own:
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            standing = (entry / "cwd").readlink()
            given = f"={folder}/".encode() in (entry / "environ").read_bytes()
        except OSError:
            continue
        if given or f"{folder}/" in f"{command} {standing}/":
            yield f"process {entry.name}: {command[:150]}"


def remains(names: set[str], folder: str) -> list[str]:
    """What is left of the platforms called *names* and below *folder*."""
    found = [thing for thing in _named() if any(name in thing for name in names)]
    found += _processes(folder)
    found += [f"mount {line.split()[1]}" for line in Path("/proc/mounts").read_text().splitlines() if f" {folder}/" in line]
    return found


def main(file: str, folder: str) -> int:
    """Wait a little for what is just ending, then print what stays."""
    names = set(Path(file).read_text().split()) if Path(file).exists() else set[str]()
    deadline = time.monotonic() + GRACE_SECONDS
    while (found := remains(names, folder)) and time.monotonic() < deadline:
        time.sleep(0.2)
    print("\n".join([f"left behind: {thing}" for thing in found] or [f"Nothing is left of {len(names)} platforms."]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
