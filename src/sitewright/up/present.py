"""What a person sees while the platform starts: parts coming up, the sample site, the addresses. Runs in a child of the supervisor."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from pathlib import Path

from sitewright.config.settings import Settings
from sitewright.errors import SitewrightError, UnavailableError
from sitewright.up.health import answers, get, wait_for
from sitewright.up.leftovers import noted
from sitewright.up.sample import SAMPLE, ensure_sample
from sitewright.up.screen import Screen, say_error
from sitewright.up.supervise import PR_SET_PDEATHSIG

PART_SECONDS = 60.0


def log_tail(path: Path, lines: int = 8) -> str:
    """The last lines of a part's log, for an error."""
    try:
        return "\n  ".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def await_parts(settings: Settings, screen: Screen) -> None:
    """Wait for bus, router, manager and node. Raises UnavailableError with the end of the part's log."""
    host = settings.manager_host

    def part(name: str) -> bool:
        return noted(settings.paths, name).alive

    waits = (
        ("Starting the message bus and the router", "nginx", lambda: part("nats") and part("nginx") and _listens(settings)),
        ("Starting the manager", "manager", lambda: answers(settings, host, "/health/live")),
        ("Starting the node", "node", lambda: answers(settings, host, "/health/ready")),
    )
    for text, name, ready in waits:
        log = settings.paths.logs / f"{name}.log"
        try:
            with screen.step(text):
                wait_for(f"The {name}", ready, PART_SECONDS, f"Its log is {log}.")
        except UnavailableError as error:
            raise UnavailableError(error.message, details=f"Its log ends with:\n  {log_tail(log)}", resolution=error.resolution) from error


def _listens(settings: Settings) -> bool:
    try:
        get(settings, settings.manager_host, "/health/live")
    except OSError:
        return False
    return True


def summary(settings: Settings, *, sample_url: str, sign_in_path: str) -> list[str]:
    """The last lines: where everything is."""
    manager = settings.url(settings.manager_host)
    lines = ["", f"  Manager   {manager}"]
    if sample_url:
        lines.append(f"  Sample    {sample_url}")
    if sign_in_path:
        lines.append(f"  Sign in   {manager}{sign_in_path}")
        lines.append("            (a one-time sign-in link for the first administrator)")
    else:
        lines.append(f"  Sign in   {manager}/accounts/login/")
    return [*lines, "", "Ready. Ctrl-C stops everything."]


def present(settings: Settings, *, sample: bool, sign_in_path: str) -> int:
    """Show the start until everything answers. The exit code: 0, or what the supervisor ends with after having stopped all."""
    screen = Screen()
    supervisor = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    try:
        await_parts(settings, screen)
        sample_url = ""
        if sample:
            try:
                sample_url = ensure_sample(settings, screen)
            except SitewrightError as error:
                screen.line(f"  ! The sample site {SAMPLE} could not be made: {error}\n    The platform works all the same.")
        for line in summary(settings, sample_url=sample_url, sign_in_path=sign_in_path):
            screen.line(line)
    except KeyboardInterrupt:
        return 0
    except SitewrightError as error:
        if os.getppid() != supervisor:
            return 0
        say_error(error)
        return error.exit_code
    except Exception:  # The border of the process: the log gets the traceback, a person a sentence.
        with (settings.paths.logs / "up.log").open("a") as log:
            traceback.print_exc(file=log)
        print(f"sitewright: Starting failed unexpectedly; {settings.paths.logs / 'up.log'} says more.", file=sys.stderr)
        return 1
    return 0
