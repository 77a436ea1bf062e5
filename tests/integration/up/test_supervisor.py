"""The real supervisor with real children: restarts, order of stopping, logs, orphans."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sitewright.up import supervise
from sitewright.up.children import start_ticks

SCRIPT = Path(supervise.__file__)
# A child that says on which signal it ends.
POLITE = "trap 'echo bye >> {marks}; exit 0' TERM; echo hello >> {marks}; while :; do sleep 0.05; done"


def eventually(check: Callable[[], Any], what: str, seconds: float = 10.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return value


class Running:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.marks = folder / "marks"
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.process: subprocess.Popen[bytes] | None = None

    def spec(self, name: str, script: str = "", **more: object) -> dict[str, object]:
        script = script or POLITE.format(marks=self.marks).replace("hello", f"{name}-up").replace("bye", f"{name}-down")
        base = {"name": name, "argv": ["/bin/sh", "-c", script], "env": {"PATH": os.environ["PATH"]}, "user": "root", "uid": 0, "gid": 0}
        return {**base, "cwd": "/", "stop_signal": int(signal.SIGTERM), "stop_seconds": 3.0, "group": True, **more}

    def start(self, processes: list[dict[str, object]], **more: object) -> None:
        stages = more.pop("stages", [[str(spec["name"])] for spec in reversed(processes)])
        plan = {"folder": str(self.folder), "logs": str(self.logs), "stages": stages, "processes": processes, **more}
        path = self.folder / "plan.json"
        path.write_text(json.dumps(plan))
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(SCRIPT), str(path)], stdout=subprocess.PIPE, start_new_session=True
        )

    def pid(self, name: str) -> int:
        try:
            return int((self.folder / f"{name}.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return 0

    def said(self) -> list[str]:
        return self.marks.read_text().split() if self.marks.exists() else []

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout=20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    started = Running(tmp_path)
    yield started
    if started.process is not None and started.process.poll() is None:
        started.stop()


def test_a_killed_process_is_started_again_within_a_second(running: Running) -> None:
    running.start([running.spec("node")])
    first = eventually(lambda: running.pid("node"), "the first start")
    eventually(lambda: "node-up" in running.said(), "its first words")
    os.kill(first, signal.SIGKILL)
    before = time.monotonic()
    eventually(lambda: running.pid("node") not in {0, first}, "the second start")
    assert time.monotonic() - before < 1.0


def test_all_are_stopped_in_order_and_their_notes_go(running: Running) -> None:
    running.start([running.spec("nats"), running.spec("node"), running.spec("nginx")], stages=[["nginx"], ["node"], ["nats"]])
    eventually(lambda: len(running.said()) == 3, "three starts")
    assert running.stop(signal.SIGINT) == 0
    assert running.said()[3:] == ["nginx-down", "node-down", "nats-down"]
    assert not list(running.folder.glob("*.pid"))


def test_teardown_runs_between_the_node_and_the_bus(running: Running) -> None:
    teardown = running.spec("teardown", f"echo teardown >> {running.marks}")
    running.start([running.spec("nats"), running.spec("node")], stages=[["node"], ["teardown"], ["nats"]], teardown=teardown)
    eventually(lambda: len(running.said()) == 2, "two starts")
    running.stop()
    assert running.said()[2:] == ["node-down", "teardown", "nats-down"]


def test_a_process_that_ignores_term_is_killed_after_its_time(running: Running) -> None:
    running.start([running.spec("deaf", "trap '' TERM; while :; do sleep 0.05; done", stop_seconds=0.3)])
    pid = eventually(lambda: running.pid("deaf"), "the start")
    assert running.stop() == 0
    assert start_ticks(pid) == 0


def test_a_killed_leader_takes_its_group_with_it_before_the_next_start(running: Running) -> None:
    running.start([running.spec("nginx", f"sleep 300 & echo $! >> {running.marks}; wait")])
    worker = int(eventually(running.said, "the worker's pid")[0])
    os.kill(eventually(lambda: running.pid("nginx"), "the note"), signal.SIGKILL)
    eventually(lambda: not start_ticks(worker), "the end of the worker")
    eventually(lambda: len(running.said()) == 2, "the next start")


def test_a_presenter_that_fails_stops_everything_with_its_exit_code(running: Running, tmp_path: Path) -> None:
    # The presenter is a child of the process that becomes the supervisor, as `up` does it.
    presenter = f"until grep -qs node-up {running.marks}; do sleep 0.05; done; exit 8"
    plan = {"folder": str(tmp_path), "logs": str(running.logs), "stages": [["node"]], "processes": [running.spec("node")]}
    path = tmp_path / "plan.json"
    program = (
        "import json, os, sys\n"
        "pid = os.fork()\n"
        f"pid or os.execv('/bin/sh', ['sh', '-c', {presenter!r}])\n"
        f"plan = {{**{plan!r}, 'presenter': pid}}\n"
        f"open({str(path)!r}, 'w').write(json.dumps(plan))\n"
        f"os.execv(sys.executable, [sys.executable, '-I', '-S', {str(SCRIPT)!r}, {str(path)!r}])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=20, check=False)
    assert done.returncode == 8, done.stderr
    assert running.said() == ["node-up", "node-down"]


def test_output_goes_to_a_log_that_is_rotated_in_place(running: Running) -> None:
    running.start([running.spec("noisy", "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.01; done")])
    log = running.logs / "noisy.log"
    eventually(lambda: log.exists() and log.stat().st_size > 200, "some lines")
    supervise.rotate(str(running.logs), limit=100)
    assert (running.logs / "noisy.log.1").stat().st_size > 200
    eventually(lambda: log.stat().st_size > 0, "lines in the new log")
    assert log.read_text().startswith("line ")


def test_it_stays_small(running: Running) -> None:
    running.start([running.spec("node")])
    eventually(lambda: running.pid("supervisor"), "the note")
    rollup = Path(f"/proc/{running.pid('supervisor')}/smaps_rollup").read_text()
    found = re.search(r"Pss:\s+(\d+) kB", rollup)
    assert found is not None
    assert int(found.group(1)) < 12 * 1024


def test_a_program_that_cannot_start_is_tried_again_with_pauses(running: Running) -> None:
    running.start([running.spec("missing", argv=["/nonexistent/program"])])
    log = running.logs / "missing.log"
    eventually(lambda: log.exists() and log.read_text().count("could not start") >= 2, "two tries")
    running.stop()
    assert log.read_text().count("could not start") < 6
