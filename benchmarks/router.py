"""The router against bare nginx: CPU a request with 10 and 10,000 sites, and how soon a route change is served under load.

Ours and the peer alternate in short rounds of the same run, and the median of the rounds counts: the machine's other work hits both.
CPU is what nginx's workers used (/proc/<pid>/stat), divided by the requests that wrk counted.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import Row, require
from sitewright.config.settings import Settings
from sitewright.domain.identity import new_id
from sitewright.domain.route import ChannelRoute
from sitewright.router import RouteTable, launch
from sitewright.router.binary import find_nginx

FEW, MANY = 10, 10_000
ROUNDS, ROUND_SECONDS = 5, 2
CHANGES = 400
BODY = "0123456789abcdef" * 64
TICKS = os.sysconf("SC_CLK_TCK")

REPORT = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nREPORT {"requests":%d,"failed":%d}\\n', summary.requests, e.connect + e.read + e.write + e.status + e.timeout))
end
"""
BY_HOST = "request = function() return wrk.format('GET', '/', {Host = string.format('KIND%d.bench.test', math.random(0, COUNT - 1))}) end\n"
BY_PATH = "request = function() return wrk.format('GET', string.format('/KIND%d/index.html', math.random(0, COUNT - 1))) end\n"

APP = """daemon off; error_log stderr crit; pid FOLDER/app.pid; worker_processes 1; events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000; server { LISTEN default_type text/plain; location / { return 200 "BODY"; } } }
"""
BARE = """daemon off; error_log stderr crit; pid FOLDER/bare.pid; worker_processes 2; USER
events { worker_connections 4096; }
http {
  access_log FOLDER/bare.log combined buffer=64k flush=1s; sendfile on; tcp_nopush on; keepalive_requests 10000;
  upstream app { server unix:FOLDER/app0.sock; keepalive 64; }
  server { listen 127.0.0.1:PORT; root FOLDER/sites;
    location /app { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; } }
}
"""


@dataclass
class Server:
    """A running nginx."""

    process: subprocess.Popen[bytes]
    port: int = 0

    def cpu_seconds(self) -> float:
        """User and system time of its workers so far."""
        ticks = 0
        for pid in self.workers():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS

    def workers(self) -> list[str]:
        """Process ids of its workers."""
        return Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()

    def memory_mib(self) -> float:
        """Proportional memory of master and workers, MiB."""
        total = 0
        for pid in (str(self.process.pid), *self.workers()):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return total / 1024


@dataclass
class Bench:
    """Everything that stands while measuring."""

    folder: Path
    ours: Server
    bare: Server
    table: RouteTable
    sockets: tuple[Path, ...]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(argv: list[str], port: int = 0, path: Path | None = None) -> Iterator[Server]:
    """*argv* until it listens on the port or path, and no longer than the block."""
    process = subprocess.Popen(argv, start_new_session=True, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not (path.exists() if path else _listens(port)):
            assert time.monotonic() < deadline, f"{argv[0]} does not listen"
            time.sleep(0.02)
        yield Server(process, port)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def bench() -> Iterator[Bench]:
    """Our router with 10,000 static and 10,000 dynamic sites, a bare nginx with the same files and app."""
    folder = Path(tempfile.mkdtemp(prefix="swb"))
    folder.chmod(0o755)
    settings = Settings(home=folder / "home", run=None, http_port=free_port(), domain="bench.test")
    user = launch.router_config(settings).user
    nginx = str(find_nginx())
    bare_port = free_port()
    sockets = tuple(folder / f"app{number}.sock" for number in range(4))
    listen = " ".join(f"listen unix:{path};" for path in sockets)
    _write(folder / "app.conf", APP, FOLDER=str(folder), LISTEN=listen, BODY=BODY)
    _write(folder / "bare.conf", BARE, FOLDER=str(folder), PORT=str(bare_port), USER=f"user {user};" if user else "")
    launch.prepare_folders(settings)
    launch.write_config(settings)
    try:
        with (
            running([nginx, "-p", str(folder), "-e", "stderr", "-c", str(folder / "app.conf")], path=sockets[-1]),
            running([nginx, "-p", str(folder), "-e", "stderr", "-c", str(folder / "bare.conf")], bare_port) as bare,
            running(launch.nginx_argv(settings), settings.http_port) as ours,
        ):
            for path in sockets:
                path.chmod(0o666)
            yield Bench(folder, ours, bare, RouteTable(settings.paths), sockets)
    finally:
        shutil.rmtree(settings.paths.run, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, text: str, **values: str) -> None:
    for name, value in values.items():
        text = text.replace(name, value)
    path.write_text(text)


def fill_sites(place: Bench) -> float:
    """Make the sites; seconds a route change took, the median."""
    seconds = []
    for number in range(MANY):
        public = place.folder / "sites" / f"s{number}"
        public.mkdir(parents=True)
        (public / "index.html").write_text(BODY)
        for route in (
            ChannelRoute(new_id(), (f"s{number}.bench.test",), public=public),
            ChannelRoute(new_id(), (f"d{number}.bench.test",), sockets=(place.sockets[number % len(place.sockets)],)),
        ):
            began = time.perf_counter()
            place.table.set(route)
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def start_wrk(place: Bench, server: Server, script: str, seconds: float, path: str = "/") -> subprocess.Popen[str]:
    """wrk with 16 connections against a server."""
    file = place.folder / f"wrk{server.port}.lua"
    file.write_text(script + REPORT)
    argv = [require("wrk", "wrk"), "-t1", "-c16", f"-d{seconds}s", "-s", str(file), f"http://127.0.0.1:{server.port}{path}"]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def finish_wrk(process: subprocess.Popen[str]) -> dict[str, int]:
    """What wrk counted: requests and failed."""
    output, _ = process.communicate(timeout=120)
    report: dict[str, int] = json.loads(output.rpartition("REPORT ")[2])
    return report


def cpu_a_request(place: Bench, server: Server, script: str, path: str = "/") -> float:
    """Microseconds of the workers' CPU."""
    before = server.cpu_seconds()
    report = finish_wrk(start_wrk(place, server, script, ROUND_SECONDS, path))
    assert report["failed"] == 0, report
    return (server.cpu_seconds() - before) / report["requests"] * 1e6


def ratio(place: Bench, kind: str, count: int) -> tuple[float, float]:
    """Our CPU a request as a multiple of bare nginx's, median of the rounds; and ours with *count* sites in microseconds."""
    ours_script = BY_HOST.replace("KIND", kind).replace("COUNT", str(count))
    bare_script = BY_PATH.replace("KIND", "s").replace("COUNT", str(count)) if kind == "s" else ""
    ratios, ours_all = [], []
    for _ in range(ROUNDS):
        bare = cpu_a_request(place, place.bare, bare_script, "/app")
        ours = cpu_a_request(place, place.ours, ours_script)
        ratios.append(ours / bare)
        ours_all.append(ours)
    return statistics.median(ratios), statistics.median(ours_all)


def change_under_load(place: Bench) -> tuple[float, int]:
    """Milliseconds from the call that changes a route to its being served, 99th percentile; and how many of the load's requests failed."""
    load = start_wrk(place, place.ours, BY_HOST.replace("KIND", "s").replace("COUNT", str(MANY)), 600)
    channel, delays = new_id(), []
    folders = []
    for number in range(2):
        folder = place.folder / f"version{number}"
        folder.mkdir()
        (folder / "index.html").write_text(str(number))
        folders.append(folder)
    visitor = http.client.HTTPConnection("127.0.0.1", place.ours.port, timeout=10)
    for number in range(CHANGES):
        began = time.perf_counter()
        place.table.set(ChannelRoute(channel, ("changing.bench.test",), public=folders[number % 2]))
        while True:
            visitor.request("GET", "/", headers={"Host": "changing.bench.test"})
            if visitor.getresponse().read() == str(number % 2).encode():
                break
        delays.append((time.perf_counter() - began) * 1000)
    visitor.close()
    load.send_signal(signal.SIGINT)
    return statistics.quantiles(delays, n=100)[98], finish_wrk(load)["failed"]


def measure() -> list[Row]:
    """Rows of the router."""
    require("wrk", "wrk")
    with bench() as place:
        empty = place.ours.memory_mib()
        change = fill_sites(place)
        rows = []
        flat: dict[str, list[float]] = {}
        for kind, what, bar in (("s", "static", 1.2), ("d", "proxied", 2.3)):
            for count in (FEW, MANY):
                times, ours = ratio(place, kind, count)
                flat.setdefault(what, []).append(ours)
                rows.append(Row(f"router CPU a request, {what}, {count:,} sites", times, "×", bar, peer="bare nginx", peer_value=1))
        rows += [
            Row(f"router CPU a request, {what}, 10,000 sites against 10", many / few, "×", peer="10 sites", peer_value=1)
            for what, (few, many) in flat.items()
        ]
        p99, failed = change_under_load(place)
        rows += [
            Row("route change until served under load, 10,000 sites, p99", p99, "ms", 20),
            Row("requests failed during the changes", failed, "requests", 0),
            Row("route change, the call alone, median", change * 1000, "ms"),
            Row("router memory, 20,000 routes and load behind it", place.ours.memory_mib(), "MiB", peer="no site", peer_value=empty),
        ]
    return rows
