"""A visitor who asks at a steady pace and notes how long every single answer took: `python -m benchmarks.rig.pace PORT HOST SECONDS`.

Real visitors are on other machines. This one shares the processors with what it measures, so it runs with real-time priority where that is
allowed: else its own waiting for a processor would be counted. It asks so seldom that this takes little from the others.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

REST_SECONDS = 0.004
ROOT = Path(__file__).parents[2]


@dataclass
class Paced:
    """A running visitor."""

    process: subprocess.Popen[str]

    def end(self) -> list[float]:
        """Wait until its time is up; the seconds that each answer took. Raises AssertionError when a request failed."""
        output, _ = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, output
        found: list[float] = json.loads(output)
        return found


def start_pace(port: int, host: str, seconds: float) -> Paced:
    """A visitor of its own process, on one kept connection."""
    argv = [sys.executable, "-m", "benchmarks.rig.pace", str(port), host, str(seconds)]
    return Paced(subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))


def visit(port: int, host: str, seconds: float) -> list[float]:
    """Ask for the first page until the time is up."""
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    took = []
    with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.perf_counter()
            line.sendall(request)
            _read_answer(line)
            took.append(time.perf_counter() - began)
            time.sleep(REST_SECONDS)
    return took


def _read_answer(line: socket.socket) -> None:
    """One answer of known length, to its end. Raises ValueError when it is not a good one."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += line.recv(65536) or _broken()
    head, _, body = got.partition(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise ValueError(head.decode(errors="replace"))
    length = next(int(field[15:]) for field in head.lower().split(b"\r\n") if field.startswith(b"content-length:"))
    missing = length - len(body)
    while missing > 0:
        missing -= len(line.recv(65536) or _broken())


def _broken() -> bytes:
    raise ConnectionError("the connection ended within an answer")


def main(arguments: list[str]) -> None:
    """Print the seconds as JSON."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    print(json.dumps(visit(int(arguments[0]), arguments[1], float(arguments[2]))))


if __name__ == "__main__":
    main(sys.argv[1:])
