"""How much later the slowest hundredth of a quiet site's answers come while a neighbour on the same machine makes all the noise it can.

Every noisy turn follows a quiet one, and all kinds take turns, so that what else happens on the machine meets them all. The 99th
percentile is of all answers of a kind's turns together, each divided by the median of the quiet turn before it, so that a slow moment
weighs no more than another. The visitors share the processors with everything else, which real ones do not: see ``benchmarks.rig.pace``.
The load of the noise `requests` is made by a wrk that takes only what is left, and likewise is no part of a real machine's work. On a
machine that is busy with something else besides, all of this says little: a wait for the kernel's tick (4 ms) is then in both figures.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import Row
from benchmarks.platform.noise import loud_app
from benchmarks.platform.stand import Stand, flask_app, static_site
from benchmarks.rig.load import one_host, start_load
from benchmarks.rig.pace import start_pace

QUIET = ""
NOISES = ("cpu", "forks", "memory", "log", "disk", "requests")
ROUNDS = 4
TURN_SECONDS = 1.5
WARM_UP_SECONDS, COOL_DOWN_SECONDS = 0.8, 0.3
STATIC, PROXIED, LOUD = "neighbour-files", "neighbour-app", "neighbour-loud"
BAR = 1.2


@dataclass(frozen=True, slots=True)
class Turn:
    """Seconds that the answers of one turn took, by site."""

    static: list[float]
    proxied: list[float]


def neighbour_rows(there: Stand) -> list[Row]:
    """A row for each kind of noise and each kind of site."""
    _deploy(there)
    pairs: dict[str, list[tuple[Turn, Turn]]] = {kind: [] for kind in NOISES}
    for _ in range(ROUNDS):
        for kind, found in pairs.items():
            found.append((_turn(there, QUIET), _turn(there, kind)))
    rows = []
    for name in ("static", "proxied"):
        quiet: list[list[float]] = [getattr(alone, name) for found in pairs.values() for alone, _ in found]
        rows.append(Row(f"quiet {name} site alone, p99", late(merged(quiet)) * 1000, "ms"))
        rows += [_row(name, kind, found) for kind, found in pairs.items()]
    return rows


def _row(name: str, kind: str, pairs: list[tuple[Turn, Turn]]) -> Row:
    ratio = late_ratio(name, pairs)
    return Row(f"quiet {name} site beside a neighbour's {kind}, p99, ratio", ratio, "×", BAR, peer="itself alone", peer_value=1.0)


def late_ratio(name: str, pairs: list[tuple[Turn, Turn]]) -> float:
    """How many times later the 99th percentile is in the second turn of each pair; *name* is `static` or `proxied`."""
    quiet: list[list[float]] = [getattr(alone, name) for alone, _ in pairs]
    noisy: list[list[float]] = [getattr(beside, name) for _, beside in pairs]
    usual = [statistics.median(turn) for turn in quiet]
    return late(merged(_scaled(noisy, usual))) / late(merged(_scaled(quiet, usual)))


def _scaled(turns: list[list[float]], by: list[float]) -> list[list[float]]:
    return [[seconds / unit for seconds in turn] for turn, unit in zip(turns, by, strict=True)]


def merged(turns: list[list[float]]) -> list[float]:
    """All answers of these turns."""
    return [seconds for turn in turns for seconds in turn]


def late(seconds: list[float]) -> float:
    """The 99th percentile."""
    return sorted(seconds)[len(seconds) * 99 // 100]


def _deploy(there: Stand) -> None:
    for site, make in ((STATIC, static_site), (PROXIED, flask_app)):
        there.platform.cli("sites", "create", site, "--from", str(make(there.folder / site, "quiet")))
    there.platform.cli("sites", "create", LOUD, "--from", str(loud_app(there.folder / LOUD)))
    for site in (STATIC, PROXIED, LOUD):
        there.visitor(site).await_status(200)


def _turn(there: Stand, kind: str) -> Turn:
    with _noise(there, kind):
        time.sleep(WARM_UP_SECONDS if kind != QUIET else 0.0)
        visitors = [start_pace(there.port, there.host(site), TURN_SECONDS) for site in (STATIC, PROXIED)]
        static, proxied = (visitor.end() for visitor in visitors)
    time.sleep(COOL_DOWN_SECONDS)
    return Turn(static, proxied)


@contextmanager
def _noise(there: Stand, kind: str) -> Iterator[None]:
    if kind == QUIET:
        yield
        return
    if kind == "requests":
        load = start_load(there.port, one_host(there.host(LOUD)), seconds=4, connections=32)
        _behind(load.process.pid)
        yield
        load.end()
        return
    visitor = there.visitor(LOUD)
    status, _ = visitor.request("POST", f"/noise/{kind}/{TURN_SECONDS + WARM_UP_SECONDS + 0.5}")
    assert status == 200, f"{kind}: {status}"
    visitor.close()
    yield


def _behind(pid: int) -> None:
    """The noise's own load generator is no part of what is measured: it takes what is left."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.setpriority(os.PRIO_PROCESS, int(thread.name), 19)
