"""Replacing every part of a running platform, one after the other, with no failed request. Standard library only.

A part that can have a successor beside it (``overlap``: they share their listening sockets) gets one, and leaves when the successor is
ready; if that one does not get ready it goes, and the old one stays. Of the others there can be only one: it ends, and what is asked of it
meanwhile waits in the sockets that the supervisor holds. The first part that does not come up ends the restart: those after it stay as
they are. docs/explanation/failure.md says what is left when this is cut off at any step.
"""

# pathlib would cost the supervisor a megabyte for its whole life.
# ruff: noqa: PTH123

from __future__ import annotations

import json
import math
import os
import signal
import time
from typing import TYPE_CHECKING

from sitewright.up import listening
from sitewright.up.children import Child, signal_child

if TYPE_CHECKING:
    from sitewright.up.supervise import Supervisor

READY_SECONDS = 60.0
LOOK_SECONDS = 0.05
SILENT_SECONDS = 3.0
"""A part that cannot say that it is ready is taken for ready when it has run that long."""
PROGRESS = "restart.json"


class Replacing:
    """One restart of all parts."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._number = int(str(read_progress(supervisor.folder).get("number", 0))) + 1

    def run(self) -> None:
        """Replace all in the order of the plan; how it goes is in the progress file."""
        supervisor = self._supervisor
        for child in supervisor.children.values():
            self._tell("running", child.name)
            problem = self._overlap(child) if child.spec.get("overlap") else self._in_turn(child)
            if supervisor.stopping:
                problem = problem or "it was asked to stop"
            if problem:
                supervisor.say(f"sitewright: the restart ended at {child.name}: {problem} (log: {supervisor.logs}/{child.name}.log)")
                self._tell("failed", child.name, problem)
                return
        self._tell("done")
        supervisor.say("sitewright: restarted")

    def _tell(self, state: str, part: str = "", problem: str = "") -> None:
        body = {"number": self._number, "state": state, "part": part, "problem": problem}
        self._supervisor.write(f"{self._supervisor.folder}/{PROGRESS}", json.dumps(body))

    def _in_turn(self, child: Child) -> str:
        """End it, start it; why it did not get ready, "" when it did."""
        supervisor = self._supervisor
        if child.pid:
            child.asked = True
            signal_child(child.pid, int(child.number("stop_signal", signal.SIGTERM)))
            deadline = time.monotonic() + child.number("stop_seconds", 4.0)
            while child.pid and not supervisor.stopping:
                if time.monotonic() >= deadline:
                    signal_child(child.pid, signal.SIGKILL)
                supervisor.turn(LOOK_SECONDS, without=child)
        if supervisor.stopping:
            return ""
        supervisor.start(child)
        return self._await_ready(child)

    def _overlap(self, child: Child) -> str:
        """Start a successor; when it is ready the old one leaves, else the successor goes. Why it did not get ready, "" when it did."""
        supervisor = self._supervisor
        while any(leaving is child for leaving, _ in supervisor.leaving.values()) and not supervisor.stopping:
            supervisor.turn(LOOK_SECONDS)
        old = child.pid
        if not old or supervisor.stopping:
            return "" if supervisor.stopping else self._in_turn(child)
        supervisor.record(f"{child.name}.old.{old}", old)
        supervisor.leaving[old] = (child, math.inf)
        supervisor.start(child)
        problem = self._await_ready(child)
        if problem and old in supervisor.leaving:
            self._go_back(child, old)
        elif old in supervisor.leaving:
            supervisor.leave(child, old)
        return problem

    def _go_back(self, child: Child, old: int) -> None:
        supervisor = self._supervisor
        if child.pid:
            supervisor.leaving[child.pid] = (child, time.monotonic())
            signal_child(child.pid, signal.SIGKILL, group=bool(child.spec.get("group")))
        del supervisor.leaving[old]
        child.adopt(old)
        supervisor.record(child.name, old)
        supervisor.record(f"{child.name}.old.{old}", 0)

    def _await_ready(self, child: Child) -> str:
        began = time.monotonic()
        pid = child.pid
        while not self._supervisor.stopping:
            if child.pid != pid:
                return "it ended before it was ready"
            if self._is_ready(child, time.monotonic() - began):
                child.forget_ready()
                return ""
            if time.monotonic() - began >= READY_SECONDS:
                return f"it was not ready within {READY_SECONDS:.0f} s"
            self._supervisor.turn(LOOK_SECONDS, without=child)
        return ""

    def _is_ready(self, child: Child, seconds: float) -> bool:
        way: dict[str, object] = child.spec.get("ready") or {}  # type: ignore[assignment]
        if "tcp" in way:
            address, _, port = str(way["tcp"]).rpartition(":")
            return listening.answers(address, int(port))
        if "pid_file" in way:
            return _first_line(str(way["pid_file"])) == str(child.pid)
        said = child.said_ready()
        return bool(said) or (said is False and seconds >= SILENT_SECONDS)


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().strip()
    except OSError:
        return ""


def read_progress(folder: str) -> dict[str, object]:
    """{"number", "state": running|done|failed, "part", "problem"} of the last restart; {} when there was none."""
    try:
        with open(os.path.join(folder, PROGRESS), encoding="utf-8") as file:  # noqa: PTH118
            body = json.load(file)
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}
