"""From a visitor's request to the first byte of a site that sleeps: through router, wake server, engine and app, on one platform."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import Row
from benchmarks.platform.stand import Stand, flask_app
from benchmarks.rig.visits import Api

WAKES = 30
PLAIN_REQUESTS = 200
NODE = """require("http").createServer((request, response) => response.end("one")).listen(process.env.PORT);
"""
NODE_PACKAGE = '{"name": "sleeper", "version": "1.0.0", "scripts": {"start": "node server.js"}}'
FREEZES = {"freeze_after_seconds": 1, "stop_after_seconds": 3600}
STOPS = {"freeze_after_seconds": 0, "stop_after_seconds": 1}


@dataclass(frozen=True)
class Sleeper:
    """A site that is let sleep to one stage and woken: ``bar_ms`` holds for the *quantile* of the first bytes."""

    title: str
    site: str
    stage: str
    quantile: float
    bar_ms: float


SLEEPERS = (
    Sleeper("frozen Flask site", "sleeper-flask", "frozen", 0.95, 20),
    Sleeper("stopped Flask site, pre-warmed", "sleeper-flask", "stopped", 0.5, 30),
    Sleeper("stopped Node site", "sleeper-node", "stopped", 0.5, 80),
)


def sleeping_rows(there: Stand) -> list[Row]:
    """Two rows a kind: the quantile that has a bar, and the other; beside them the same request to the site awake."""
    flask, node = flask_app(there.folder / "sleeper-flask", "one"), _node_app(there.folder / "sleeper-node")
    for name, folder in (("sleeper-flask", flask), ("sleeper-node", node)):
        there.platform.cli("sites", "create", name, "--from", str(folder))
    rows = []
    for sleeper in SLEEPERS:
        awake, woken = _measured(there, sleeper)
        for quantile, word in ((0.5, "median"), (0.95, "95th percentile")):
            bar = sleeper.bar_ms if quantile == sleeper.quantile else None
            rows.append(
                Row(
                    f"first byte of a {sleeper.title}, through the router: {word}",
                    _quantile(woken, quantile) * 1000,
                    "ms",
                    bar,
                    peer="awake",
                    peer_value=_quantile(awake, quantile) * 1000,
                )
            )
    for name in ("sleeper-flask", "sleeper-node"):
        there.platform.cli("sites", "delete", name, "--confirm", name)
    return rows


def _node_app(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "server.js").write_text(NODE)
    (folder / "package.json").write_text(NODE_PACKAGE)
    return folder


def _measured(there: Stand, sleeper: Sleeper) -> tuple[list[float], list[float]]:
    """Seconds of requests to the site awake, and of those that woke it."""
    api = there.api()
    api.call("PATCH", f"/sites/{sleeper.site}/settings", {"sleep": FREEZES if sleeper.stage == "frozen" else STOPS})
    there.settle(sleeper.site)
    _visit(there, sleeper.site)
    awake = [_visit(there, sleeper.site) for _ in range(PLAIN_REQUESTS)]
    woken = []
    for number in range(WAKES + 2):
        _await_stage(api, sleeper)
        seconds = _visit(there, sleeper.site)
        if number >= 2:  # the first starts of all learn how long a start takes, and warm what can be warmed
            woken.append(seconds)
    api.close()
    return awake, woken


def _visit(there: Stand, site: str) -> float:
    visitor = there.visitor(site)
    began = time.perf_counter()
    status, _ = visitor.request("GET", "/")
    seconds = time.perf_counter() - began
    visitor.close()
    assert status == 200, f"{site} answered {status}"
    return seconds


def _await_stage(api: Api, sleeper: Sleeper) -> None:
    deadline = time.monotonic() + 90
    while True:
        said = api.call("GET", f"/sites/{sleeper.site}")
        if said["channel"]["sleep"]["stage"] == sleeper.stage:
            break
        if time.monotonic() > deadline:
            raise TimeoutError(f"{sleeper.site} was not {sleeper.stage} within 90 s")
        time.sleep(0.1)
    time.sleep(0.5)  # what was stopped is gone by now


def _quantile(values: list[float], part: float) -> float:
    if part == 0.5:
        return statistics.median(values)
    return sorted(values)[min(int(len(values) * part), len(values) - 1)]
