"""How long a deploy takes, from the request to the new page in a visitor's browser, and whether visitors notice it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import Row
from benchmarks.platform.stand import Stand, flask_app, packed, static_site
from benchmarks.rig.load import one_host, paced, start_load

DEPLOYS = 3
LOAD_PAUSE_MS = 20
"""8 connections that rest this long: up to 400 requests a second. The builds of a deploy still get a processor."""
PEER = "best small peer (cited)"


@dataclass(frozen=True)
class Kind:
    """What is deployed: ``make(folder, version)`` writes it. ``peer_seconds`` is cited from the comparison that set the bar."""

    site: str
    title: str
    make: Callable[[Path, str], Path]
    bar_seconds: float
    peer_seconds: float


KINDS = (
    Kind("bench-flask", "Flask", flask_app, 2.0, 2.2),
    Kind("bench-static", "static", static_site, 0.4, 0.44),
)


def deploy_rows(there: Stand) -> list[Row]:
    """Both kinds, and the failed requests of all deploys under load."""
    rows: list[Row] = []
    failed = visited = 0
    for kind in KINDS:
        folder = there.folder / kind.site
        first = _first(there, kind, folder)
        by_api = statistics.median(_by_api(there, kind, folder, f"quiet-{number}") for number in range(DEPLOYS))
        by_cli = statistics.median(_by_cli(there, kind, folder, f"typed-{number}") for number in range(DEPLOYS))
        load = start_load(there.port, one_host(there.host(kind.site)) + paced(LOAD_PAUSE_MS), seconds=120, connections=8)
        busy = statistics.median(_by_api(there, kind, folder, f"busy-{number}") for number in range(DEPLOYS))
        counted = load.interrupt()
        failed, visited = failed + counted.failed, visited + counted.requests
        rows += [
            Row(f"deploy: {kind.title}, first, CLI", first, "s"),
            Row(
                f"deploy: {kind.title}, one line changed, request until served",
                by_api,
                "s",
                kind.bar_seconds,
                peer=PEER,
                peer_value=kind.peer_seconds,
            ),
            Row(f"deploy: {kind.title}, one line changed, under load", busy, "s"),
            Row(f"deploy: {kind.title}, one line changed, CLI from start to end", by_cli, "s"),
        ]
    return [*rows, Row(f"deploy: requests failed during {DEPLOYS * len(KINDS)} deploys ({visited:,} requests)", failed, "requests", 0)]


def _first(there: Stand, kind: Kind, folder: Path) -> float:
    kind.make(folder, "first")
    began = time.perf_counter()
    there.platform.cli("sites", "create", kind.site, "--from", str(folder))
    seconds = time.perf_counter() - began
    _shown(there, kind, "first")
    return seconds


def _by_cli(there: Stand, kind: Kind, folder: Path, version: str) -> float:
    kind.make(folder, version)
    began = time.perf_counter()
    there.platform.cli("deploy", str(folder), "--site", kind.site)
    seconds = time.perf_counter() - began
    _shown(there, kind, version)
    return seconds


def _by_api(there: Stand, kind: Kind, folder: Path, version: str) -> float:
    """From sending the archive to the new page."""
    archive = packed(kind.make(folder, version))
    api, visitor = there.api(), there.visitor(kind.site)
    began = time.perf_counter()
    uploaded = api.call("POST", "/uploads?filename=site.tar.gz", archive)
    source = {"kind": "upload", "digest": uploaded["digest"], "name": "site.tar.gz"}
    api.call("POST", f"/sites/{kind.site}/deploys", {"source": source})
    visitor.await_text(version.encode())
    seconds = time.perf_counter() - began
    for connection in (api, visitor):
        connection.close()
    there.settle(kind.site)
    return seconds


def _shown(there: Stand, kind: Kind, version: str) -> None:
    visitor = there.visitor(kind.site)
    visitor.await_text(version.encode(), seconds=10)
    visitor.close()
