"""How soon a changed route is served while others are visited, and whether anybody notices."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from benchmarks.harness import Row
from benchmarks.rig.load import by_host, paced, start_load
from benchmarks.rig.visits import Visitor
from benchmarks.router.place import MANY, STATIC, Place
from sitewright.domain.identity import new_id
from sitewright.domain.route import ChannelRoute

CHANGES = 400
PAUSE_MS = 8
"""16 connections that rest this long send nearly 2,000 requests a second: a busy router on a machine that has time left. With
none left, what is measured is how long a visitor waits for a processor; the second row shows that, beside a request without a change."""


@dataclass(frozen=True)
class Seen:
    """Milliseconds, 99th percentiles: from the call to the first new answer; of a request without any change. And failed requests."""

    change: float
    plain: float
    failed: int


def measure_changes(there: Place, script: str) -> Seen:
    """Swap a site's folder again and again under load."""
    channel, host = new_id(), f"changing{new_id()}.bench.test"
    folders = []
    for number in range(2):
        folder = there.folder / f"{channel}{number}"
        folder.mkdir()
        (folder / "index.html").write_text(f"version {number}")
        folders.append(folder)
    load = start_load(there.ours.port, script, seconds=120)
    visitor = Visitor(there.ours.port, host)
    changes, plain = [], []
    for number in range(CHANGES):
        began = time.perf_counter()
        there.table.set(ChannelRoute(channel, (host,), public=folders[number % 2]))
        visitor.await_text(f"version {number % 2}".encode(), pause=0)
        changed = time.perf_counter()
        visitor.request("GET", "/")
        plain.append(time.perf_counter() - changed)
        changes.append(changed - began)
    visitor.close()
    return Seen(_worst(changes), _worst(plain), load.interrupt().failed)


def _worst(seconds: list[float]) -> float:
    """99th percentile in milliseconds."""
    return statistics.quantiles(seconds, n=100)[98] * 1000


def change_rows(there: Place) -> list[Row]:
    """Under a steady load, and when the machine has no time left."""
    everywhere = by_host(STATIC, MANY)
    steady, full = measure_changes(there, everywhere + paced(PAUSE_MS)), measure_changes(there, everywhere)
    peer = "a request without a change"
    return [
        Row("route change until served, 10,000 sites, 2,000 requests/s: p99", steady.change, "ms", 20, peer=peer, peer_value=steady.plain),
        Row("… with all processors busy: p99", full.change, "ms", peer=peer, peer_value=full.plain),
        Row("requests failed during 800 changes", steady.failed + full.failed, "requests", 0),
    ]
