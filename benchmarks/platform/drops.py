"""wrk for eight seconds over everything that an owner does to a running site, and over a restart of the platform: who was not served."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable

from benchmarks.harness import Row
from benchmarks.platform.stand import ROOT, Stand
from benchmarks.rig.load import Counted, one_host, paced, start_load
from sitewright.testing.witness import Witness

APP = ROOT / "tests/acceptance/sites/flask"
SECONDS, CONNECTIONS, PAUSE_MS = 8, 16, 40
PARTS = ("nats", "node", "manager", "nginx")


def drops_rows(there: Stand) -> list[Row]:
    """A row for each change: requests that failed of some 3,000."""
    made = Witness(there.platform, "drops", APP, there.folder / "drops")
    made.create()
    rows = []
    for title, change in _changes(there, made):
        counted = _loaded(there, made, change)
        rows.append(Row(f"failed requests of some 3,000, {title}", counted.failed, "", 0))
        print(f"{title}: {counted.requests} requests, {counted.failed} failed", file=sys.stderr)
    made.delete()
    return rows


def _changes(there: Stand, made: Witness) -> list[tuple[str, Callable[[], object]]]:
    cli = there.platform.cli

    def scale() -> None:
        made.ask("scale", "web=5")
        made.ask("scale", "web=2")

    def variable() -> None:
        cli("env", "set", made.name, "WORD=x")

    def canary(verb: str) -> None:
        made.deploy(f"young {verb}", "--canary", "10%")
        cli("canary", verb, made.name)

    return [
        ("deploy", lambda: made.deploy("two")),
        ("restart", lambda: cli("sites", "restart", made.name)),
        ("changed variable", variable),
        ("scale 1 → 5 → 2", scale),
        ("rollback", lambda: made.ask("rollback")),
        ("canary, promoted", lambda: canary("promote")),
        ("canary, aborted", lambda: canary("abort")),
        ("blue/green", lambda: made.deploy("green", "--blue-green")),
        ("restart of the platform", lambda: _restart(there)),
    ]


def _loaded(there: Stand, made: Witness, change: Callable[[], object]) -> Counted:
    """What wrk counted; the change begins a second after it."""
    load = start_load(there.port, one_host(made.site.authority) + paced(PAUSE_MS), seconds=SECONDS, connections=CONNECTIONS)
    time.sleep(1.0)
    change()
    return load.end()


def _restart(there: Stand) -> None:
    """Every part is replaced."""
    before = {part: there.platform.part_pid(part) for part in PARTS}
    os.kill(there.platform.part_pid("supervisor"), signal.SIGHUP)
    deadline = time.monotonic() + 60
    while any(there.platform.part_pid(part) in {0, pid} for part, pid in before.items()) or not there.platform.ready():
        if time.monotonic() > deadline:
            raise TimeoutError("the platform was not restarted within 60 s")
        time.sleep(0.1)
