"""Ten thousand sleeping and ten thousand static sites on one machine, on a platform of its own: `python -m benchmarks density`."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import Row
from benchmarks.platform.idle import PARTS, SECONDS, _cpu, _processes
from benchmarks.platform.stand import ROOT, Stand, flask_app, packed, stand
from benchmarks.rig.servers import memory_bytes
from benchmarks.rig.visits import Visitor

COUNT = 10_000
WAKES = 5
STATIC, APP = "page", "cafe"
SLEEP = {"sleep": {"freeze_after_seconds": 0, "stop_after_seconds": 1}}
INODE_BYTES = 1024
"""What the kernel takes for a file or symlink of the run folder, about."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One look: bytes of memory (PSS), seconds to wake and to deploy, per cent of a core when idle, files in the run folder."""

    memory: float
    wake: float
    deploy: float
    cpu: float
    run_files: int


def measure() -> list[Row]:
    """Rows of the same platform with two sites, and with twenty thousand more."""
    with stand() as there:
        _two_sites(there)
        few = _look(there, STATIC, APP)
        there.platform.stop()
        _fill(there)
        shutil.rmtree(there.platform.settings.paths.run, ignore_errors=True)
        first_static, first_woken = _start(there)
        full = _full_look(there)
        many = _look(there, f"{STATIC}-{COUNT:05d}", f"{APP}-{COUNT - 1:05d}")
    total = 2 * COUNT
    return [
        Row(f"density: memory more with {total} sites (PSS)", (many.memory - few.memory) / 1e6, "MB", 100),
        Row("density: run folder, kernel memory", (many.run_files - few.run_files) * INODE_BYTES / 1e6, "MB"),
        Row("density: fresh start until a static site is served", first_static, "s", 15),
        Row("density: fresh start until a sleeping site is woken", first_woken, "s", 15),
        Row("density: comparison with the manager, and a full report", full, "s", 2),
        Row("density: CPU, idle", many.cpu, "% of a core", 1, peer="two sites", peer_value=few.cpu),
        Row("density: wake of a stopped site: median", many.wake * 1000, "ms", peer="two sites", peer_value=few.wake * 1000),
        Row("density: deploy of a static site", many.deploy, "s", peer="two sites", peer_value=few.deploy),
    ]


def _two_sites(there: Stand) -> None:
    page, app = there.folder / STATIC, there.folder / APP
    page.mkdir()
    (page / "index.html").write_text("<p>page")
    flask_app(app, "awake")
    for folder in (page, app):
        there.platform.cli("sites", "create", folder.name, "--from", str(folder))
    there.api().call("PATCH", f"/sites/{APP}/settings", SLEEP)
    _until(lambda: _stage(there, APP) == "stopped", "the app sleeps")


def _stage(there: Stand, site: str) -> str:
    return str(there.api().call("GET", f"/sites/{site}")["channel"]["sleep"]["stage"])


def _until(true: Callable[[], bool], what: str, seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.02)


def _fill(there: Stand) -> None:
    argv = [sys.executable, "-P", "-m", "benchmarks.platform.filling", str(COUNT), STATIC, APP]
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    subprocess.run(argv, env={**there.platform.environment, "PYTHONPATH": path}, check=True)


def _start(there: Stand) -> tuple[float, float]:
    """Seconds from `up` until the last of the static sites is served, and until the last of the sleeping ones is woken."""
    began = time.monotonic()
    there.platform.begin()
    static = there.visitor(f"{STATIC}-{COUNT:05d}")
    _until(lambda: static.request("GET", "/")[0] == 200, "the last static site")
    first_static = time.monotonic() - began
    app = there.visitor(f"{APP}-{COUNT:05d}")
    _until(lambda: b"awake" in app.request("GET", "/")[1], "the last sleeping site")
    first_woken = time.monotonic() - began
    _until(there.platform.answers, "everything stands")
    return first_static, first_woken


def _full_look(there: Stand) -> float:
    """Seconds from the node's return until the manager has heard of every channel: hello, comparison, and the report in parts."""
    before = there.platform.part_pid("node")
    os.kill(before, 9)
    _until(lambda: there.platform.part_pid("node") not in {0, before}, "the node's return")
    _until(lambda: "bus.connected" in _last_line(there.platform.settings.paths.logs / "node.log"), "the node's connection")
    began = time.monotonic()
    _until(there.platform.ready, "the manager has heard of it")
    return time.monotonic() - began


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").splitlines()
    return lines[-1] if lines else ""


def _look(there: Stand, static: str, app: str) -> Figures:
    """Everything that is compared. The app is woken again and again, and the static site deployed."""
    wakes = [_wake(there, app) for _ in range(WAKES)]
    deploy = _deploy(there, static)
    _until(lambda: _stage(there, app) == "stopped", "the app sleeps")
    time.sleep(SECONDS / 2)
    pids = [pid for part in PARTS for pid in _processes(there, part)]
    before = _cpu(pids)
    time.sleep(SECONDS)
    cpu = (_cpu(pids) - before) / SECONDS * 100
    run = there.platform.settings.paths.run
    files = sum(len(folders) + len(names) for _, folders, names in os.walk(run))
    return Figures(sum(memory_bytes(pid) for pid in pids), statistics.median(wakes), deploy, cpu, files)


def _wake(there: Stand, site: str) -> float:
    """Seconds of the first request to a site that sleeps."""
    _until(lambda: _stage(there, site) == "stopped", f"{site} sleeps")
    visitor = Visitor(there.port, there.host(site))
    began = time.perf_counter()
    status, body = visitor.request("GET", "/")
    seconds = time.perf_counter() - began
    visitor.close()
    assert (status, b"awake" in body) == (200, True), f"{site} was not woken: {status} {body[:200]!r}"
    return seconds


def _deploy(there: Stand, site: str) -> float:
    """Seconds from the upload until the new page is served."""
    folder = there.folder / "changed"
    folder.mkdir(exist_ok=True)
    word = f"changed {time.monotonic_ns()}"
    (folder / "index.html").write_text(word)
    api, visitor = there.api(), there.visitor(site)
    began = time.perf_counter()
    upload = api.call("POST", "/uploads?filename=site.tar.gz", packed(folder))
    source = {"kind": "upload", "digest": upload["digest"], "name": "site.tar.gz"}
    api.call("POST", f"/sites/{site}/deploys", {"source": source})
    visitor.await_text(word.encode())
    seconds = time.perf_counter() - began
    there.settle(site)
    api.close()
    visitor.close()
    return seconds
