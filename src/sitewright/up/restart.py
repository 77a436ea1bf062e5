"""`sitewright restart`: give the running platform this version of the program, part by part, with no failed request."""

from __future__ import annotations

import os
import signal
import subprocess
import time

from sitewright.config.settings import Settings, load_settings
from sitewright.errors import ForbiddenError, PreflightError, UnavailableError
from sitewright.router import test_config
from sitewright.up.leftovers import lock_holder, noted, notes_folder
from sitewright.up.processes import PASSED, PASSED_PREFIXES, plan, read_plan, supervisor_argv, write_plan
from sitewright.up.reach import reachable_program
from sitewright.up.replacing import read_progress
from sitewright.up.screen import Screen
from sitewright.up.start import prepare_all
from sitewright.up.survey import with_its_door

RESTART_SECONDS = 300.0
LOOK_SECONDS = 0.1
TITLES = {"nats": "the message bus", "node": "the node", "manager": "the manager", "nginx": "the router", "ssh": "the SSH door"}


def restart(settings: Settings) -> int:
    """Prepare, ask the supervisor, follow it; 0. Raises UnavailableError, ForbiddenError, PreflightError."""
    paths = settings.paths
    supervisor = noted(paths, "supervisor")
    if not lock_holder(paths) or not supervisor.alive:
        raise UnavailableError(
            f"No platform with the data folder {settings.home} is running.",
            resolution="Start it with `sitewright up`; nothing was changed.",
        )
    screen = Screen()
    settings = _with_its_settings(settings)
    prepare_all(settings, screen, running=True)
    test_config(settings)
    _write_next_plan(settings)
    folder = str(notes_folder(paths))
    before = int(str(read_progress(folder).get("number", 0)))
    try:
        os.kill(supervisor.pid, signal.SIGHUP)
    except PermissionError as error:
        raise ForbiddenError(
            "The platform belongs to another user.", resolution="Run `sitewright restart` as the user who started it, or as root."
        ) from error
    _follow(settings, screen, before)
    screen.line("Restarted.")
    return 0


def _with_its_settings(settings: Settings) -> Settings:
    """Settings as they are here, and where nothing is said here as the running platform has them. Raises PreflightError."""
    try:
        running = next(spec["env"] for spec in read_plan(settings)["processes"] if spec["name"] == "node")
    except (OSError, ValueError, LookupError, StopIteration) as error:
        raise PreflightError(
            "It is not known how the platform was started.",
            details=str(error),
            resolution="Use `sitewright down` and `sitewright up` instead.",
        ) from error
    for name, value in running.items():
        if name in PASSED or name.startswith(PASSED_PREFIXES):
            os.environ.setdefault(name, value)
    fresh = load_settings()
    if "SITEWRIGHT_SSH_PORT" not in running:
        fresh = with_its_door(fresh)  # of a version that had no door
    for name in ("http_address", "http_port", "ssh_address", "ssh_port", "engine", "node"):
        if str(running.get(f"SITEWRIGHT_{name.upper()}", getattr(fresh, name))) != str(getattr(fresh, name)):
            raise PreflightError(
                f"SITEWRIGHT_{name.upper()} cannot change while the platform runs; nothing was changed.",
                resolution="Use `sitewright down` and `sitewright up` for that.",
            )
    return fresh


def _write_next_plan(settings: Settings) -> None:
    """The plan of this version, tried before it takes the place of the old one. Raises PreflightError."""
    old = read_plan(settings)
    kept = {name: old[name] for name in ("groups",) if name in old}
    body = plan(settings, reachable_program(settings.paths), lock=int(old["lock"])) | kept
    path = write_plan(settings, body)
    tried = subprocess.run([*supervisor_argv(path), "--check"], capture_output=True, text=True, check=False, timeout=30)
    if tried.returncode:
        write_plan(settings, old)
        raise PreflightError("This version's supervisor does not start; the old one goes on.", details=tried.stderr.strip()[-2000:])


def _follow(settings: Settings, screen: Screen, before: int) -> None:
    """Show part after part until all are replaced. Raises UnavailableError when one does not come up, or nothing happens for long."""
    folder = str(notes_folder(settings.paths))
    deadline = time.monotonic() + RESTART_SECONDS
    shown = ""
    while time.monotonic() < deadline:
        progress = read_progress(folder)
        if int(str(progress.get("number", 0))) > before:
            part = str(progress["part"])
            if part and part != shown:
                shown = part
                screen.line(f"  Restarting {TITLES.get(part, part)}")
            if progress["state"] == "done":
                return
            if progress["state"] == "failed":
                raise UnavailableError(
                    f"The restart ended at {TITLES.get(part, part)}: {progress['problem']}.",
                    details="What was replaced before runs; the parts after it are those of before.",
                    resolution=f"See {settings.paths.logs / part}.log, then repeat `sitewright restart`.",
                )
        if not noted(settings.paths, "supervisor").alive:
            raise UnavailableError("The supervisor has ended; the parts run on.", resolution="`sitewright up` takes them over.")
        time.sleep(LOOK_SECONDS)
    raise UnavailableError(f"The restart is not over after {RESTART_SECONDS:.0f} s.", resolution=f"See the logs in {settings.paths.logs}.")
