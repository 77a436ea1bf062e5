"""`sitewright down`: stop everything, whether or not its supervisor still lives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from sitewright.config.settings import Settings
from sitewright.errors import ForbiddenError, UnavailableError
from sitewright.up.children import start_ticks
from sitewright.up.leftovers import PARTS, end_leftovers, lock_holder, noted, parts, take_lock, wait_until_gone
from sitewright.up.processes import part_environment
from sitewright.up.reach import ROOT

STOP_SECONDS = 40.0


def down(settings: Settings) -> int:
    """Ask the supervisor to stop and wait for it; without one end what it left. Raises ForbiddenError, UnavailableError."""
    paths = settings.paths
    supervisor = noted(paths, "supervisor")
    if lock_holder(paths) and supervisor.alive:
        ticks = start_ticks(supervisor.pid)
        try:
            os.kill(supervisor.pid, signal.SIGTERM)
        except PermissionError as error:
            raise ForbiddenError(
                "The platform belongs to another user.", resolution="Run `sitewright down` as the user who started it, or as root."
            ) from error
        if not wait_until_gone([supervisor.pid], [ticks], STOP_SECONDS):
            raise UnavailableError(
                f"The platform did not stop within {STOP_SECONDS:.0f} s.", resolution=f"End process {supervisor.pid} yourself."
            )
        print("Stopped. Sites and data are kept; `sitewright up` starts them again.")
        return 0
    if not any(part.alive for part in parts(paths)):
        print(f"No platform with the data folder {settings.home} is running.")
        return 0
    lock = take_lock(paths)
    try:
        ended = end_leftovers(paths)
        teardown(settings)
    finally:
        os.close(lock)
    print(f"Ended what a killed supervisor had left: {', '.join(name for name in PARTS if name in ended)}.")
    return 0


def teardown(settings: Settings) -> None:
    """End all instances, in a process of its own as the supervisor does."""
    env = part_environment(settings, os.environ, str(ROOT / "src"))
    subprocess.run([sys.executable, "-P", "-m", "sitewright.up.teardown"], env=env, check=False, stdin=subprocess.DEVNULL)
