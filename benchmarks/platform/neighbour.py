"""How much later the slowest hundredth of a quiet site's answers come while a neighbour on the same machine makes all the noise it can.

Turns of all kinds follow one another, so that what else happens on the machine meets them all; the ratio is that of a turn to the quiet
turn of its round, and the median of the rounds is taken. The visitor shares the two processors with everything else, which real visitors
do not: wrk asks 200 times a second for each site, and runs with real-time priority where it may, so that its own waiting is not counted.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import Row
from benchmarks.platform.noise import loud_app
from benchmarks.platform.stand import Stand, flask_app, static_site
from benchmarks.rig.load import Counted, one_host, paced, start_load

QUIET = ""
NOISES = ("cpu", "forks", "memory", "log", "disk", "requests")
ROUNDS = 5
TURN_SECONDS = 2
WARM_UP_SECONDS, COOL_DOWN_SECONDS = 0.4, 0.3
STATIC, PROXIED, LOUD = "neighbour-files", "neighbour-app", "neighbour-loud"
CONNECTIONS, REST_MILLISECONDS = 2, 10
BAR = 1.2


@dataclass(frozen=True, slots=True)
class Turn:
    """The 99th percentiles of one turn, in seconds."""

    static: float
    proxied: float


def neighbour_rows(there: Stand) -> list[Row]:
    """A row for each kind of noise and each kind of site."""
    _deploy(there)
    turns: dict[str, list[Turn]] = {kind: [] for kind in (QUIET, *NOISES)}
    for _ in range(ROUNDS):
        for kind, found in turns.items():
            found.append(_turn(there, kind))
    rows = []
    for name, of in (("static", lambda turn: turn.static), ("proxied", lambda turn: turn.proxied)):
        alone = statistics.median(of(turn) for turn in turns[QUIET])
        rows.append(Row(f"quiet {name} site alone, p99", alone * 1000, "ms"))
        rows += [_row(name, kind, turns, of) for kind in NOISES]
    return rows


def _row(name: str, kind: str, turns: dict[str, list[Turn]], of: Callable[[Turn], float]) -> Row:
    ratio = statistics.median(of(loud) / of(quiet) for quiet, loud in zip(turns[QUIET], turns[kind], strict=True))
    beside = statistics.median(of(turn) for turn in turns[kind]) * 1000
    return Row(f"quiet {name} site beside a neighbour's {kind}, p99, ratio", ratio, "×", BAR, peer="itself, ms", peer_value=beside)


def _deploy(there: Stand) -> None:
    for site, make in ((STATIC, static_site), (PROXIED, flask_app)):
        there.platform.cli("sites", "create", site, "--from", str(make(there.folder / site, "quiet")))
    there.platform.cli("sites", "create", LOUD, "--from", str(loud_app(there.folder / LOUD)))
    for site in (STATIC, PROXIED, LOUD):
        there.visitor(site).await_status(200)


def _turn(there: Stand, kind: str) -> Turn:
    with _noise(there, kind):
        time.sleep(WARM_UP_SECONDS)
        script = paced(REST_MILLISECONDS)
        with _in_front():
            loads = [
                start_load(there.port, one_host(there.host(site)) + script, seconds=TURN_SECONDS, connections=CONNECTIONS)
                for site in (STATIC, PROXIED)
            ]
        static, proxied = (_checked(load.end()) for load in loads)
    time.sleep(COOL_DOWN_SECONDS)
    return Turn(static.late_seconds, proxied.late_seconds)


def _checked(counted: Counted) -> Counted:
    assert counted.failed == 0, counted
    return counted


@contextmanager
def _noise(there: Stand, kind: str) -> Iterator[None]:
    if kind == QUIET:
        yield
        return
    if kind == "requests":
        load = start_load(there.port, one_host(there.host(LOUD)), seconds=TURN_SECONDS + 1, connections=32)
        _behind(load.process.pid)
        yield
        load.end()
        return
    visitor = there.visitor(LOUD)
    status, _ = visitor.request("POST", f"/noise/{kind}/{TURN_SECONDS + WARM_UP_SECONDS}")
    assert status == 200, f"{kind}: {status}"
    visitor.close()
    yield


@contextmanager
def _in_front() -> Iterator[None]:
    """What is started in this block does not wait for a processor, where that is allowed."""
    usual = os.sched_getparam(0)
    try:
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, usual)


def _behind(pid: int) -> None:
    """The noise's own load generator is no part of what is measured: it takes what is left."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.setpriority(os.PRIO_PROCESS, int(thread.name), 19)
