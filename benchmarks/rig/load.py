"""Load by wrk: started, then asked what it counted."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.harness import require

REPORT = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nREPORT {"requests":%d,"failed":%d,"median":%d,"late":%d}\\n',
    summary.requests, e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))
end
"""


def by_host(hosts: str, count: int) -> str:
    """Lua: GET / of a random one of *count* hosts; *hosts* is a pattern with one %d."""
    return f"request = function() return wrk.format('GET', '/', {{Host = string.format('{hosts}', math.random(0, {count - 1}))}}) end\n"


def by_path(paths: str, count: int) -> str:
    """Lua: GET of a random one of *count* paths; *paths* is a pattern with one %d."""
    return f"request = function() return wrk.format('GET', string.format('{paths}', math.random(0, {count - 1}))) end\n"


def one_host(host: str) -> str:
    """Lua: GET / of one host."""
    return f"wrk.headers['Host'] = '{host}'\n"


def paced(milliseconds: int) -> str:
    """Lua: every connection rests that long between two requests."""
    return f"delay = function() return {milliseconds} end\n"


@dataclass(frozen=True, slots=True)
class Counted:
    """What wrk saw; ``failed`` counts connections that broke, time-outs and statuses of 400 and above."""

    requests: int
    failed: int
    median_seconds: float
    late_seconds: float = 0.0
    """Of the slowest hundredth: the 99th percentile."""


@dataclass
class Load:
    """A running wrk."""

    process: subprocess.Popen[str]
    script: tempfile._TemporaryFileWrapper[str] = field(repr=False)

    def end(self) -> Counted:
        """Wait until its time is up."""
        output, _ = self.process.communicate(timeout=180)
        self.script.close()
        report = json.loads(output.rpartition("REPORT ")[2])
        return Counted(report["requests"], report["failed"], report["median"] / 1e6, report["late"] / 1e6)

    def interrupt(self) -> Counted:
        """End it now."""
        self.process.send_signal(2)
        return self.end()


def start_load(port: int, script: str, *, seconds: int, connections: int = 16, path: str = "/") -> Load:
    """wrk against a port of loopback."""
    file = tempfile.NamedTemporaryFile("w", suffix=".lua")  # noqa: SIM115 - closed when the load ends
    file.write(script + REPORT)
    file.flush()
    url = f"http://127.0.0.1:{port}{path}"
    argv = [require("wrk", "wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(Path(file.name)), url]
    return Load(subprocess.Popen(argv, stdout=subprocess.PIPE, text=True), file)
