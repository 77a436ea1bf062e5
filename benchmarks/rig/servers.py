"""Programs that run while something is measured, and what they use."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

START_SECONDS = 60


def children(pid: int) -> list[int]:
    """Process ids of a process's children; none when it is gone."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def cpu_seconds(pid: int) -> float:
    """CPU time that all threads of a process have had (proc(5), schedstat: nanoseconds)."""
    total = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9


def memory_bytes(pid: int) -> int:
    """Proportional share of memory (PSS)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


@dataclass
class Server:
    """A running server: one process, or a master with workers."""

    process: subprocess.Popen[bytes]
    port: int = 0

    def everything(self) -> list[int]:
        """Process ids of master and workers."""
        return [self.process.pid, *children(self.process.pid)]

    def cpu_seconds(self) -> float:
        """CPU time of master and workers so far."""
        return sum(cpu_seconds(pid) for pid in self.everything())

    def memory_mib(self) -> float:
        """Proportional memory of master and workers, MiB."""
        return sum(memory_bytes(pid) for pid in self.everything()) / 1024 / 1024


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(argv: list[str], port: int = 0, path: Path | None = None, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """*argv* until it listens on the port or path, and no longer than the block."""
    environment = {**os.environ, **(env or {})}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            argv, start_new_session=True, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, env=environment
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not listens(path or port):
                assert process.poll() is None, f"{argv[0]} ended with {process.returncode}: {_words(said)}"
                assert time.monotonic() < deadline, f"{argv[0]} does not listen: {_words(said)}"
                time.sleep(0.02)
            yield Server(process, port)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _words(said: IO[bytes]) -> str:
    """The end of what a program wrote."""
    said.seek(0)
    return said.read().decode(errors="replace")[-2000:]


def listens(where: Path | int) -> bool:
    """Whether somebody accepts connections on the unix path or the port of loopback."""
    with socket.socket(socket.AF_UNIX if isinstance(where, Path) else socket.AF_INET) as probe:
        return probe.connect_ex(str(where) if isinstance(where, Path) else ("127.0.0.1", where)) == 0
