"""From nothing to the first byte: a program started in the sandbox, beside the same program started bare on this machine, in turns."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.harness import Row, require
from benchmarks.platform.bare import GUNICORN_OPTIONS, PYTHON, copied_release, gunicorn
from benchmarks.platform.deploy import KINDS
from benchmarks.platform.stand import Stand
from benchmarks.rig.servers import free_port
from sitewright.domain.limits import MIB, Limits
from sitewright.domain.processes import Listen
from sitewright.engines.base import InstanceSpec
from sitewright.testing.docker_lab import DockerLab, docker_lab
from sitewright.testing.dockerd import running_dockerd
from sitewright.testing.sandbox_lab import SandboxLab, sandbox_lab

ROUNDS, DOCKER_ROUNDS, COMMANDS = 15, 6, 60
DEADLINE_SECONDS = 20.0
LIMITS = Limits(memory_bytes=256 * MIB, pids=64)
REQUEST = b"GET / HTTP/1.0\r\nHost: bench\r\n\r\n"
NODE = "require('http').createServer((q, a) => a.end('hello')).listen(process.env.PORT)\n"
BWRAP = (
    "--unshare-all",
    "--die-with-parent",
    "--ro-bind",
    "/usr",
    "/usr",
    "--symlink",
    "usr/lib",
    "/lib",
    "--symlink",
    "usr/lib64",
    "/lib64",
)


@dataclass(frozen=True)
class Program:
    """One web program: its line inside the sandbox, and its argv and environment bare, given where to listen."""

    title: str
    command: str
    listen: Listen
    bar_ms: float | None
    bare: Callable[[Path], tuple[list[str], dict[str, str]]]
    warm: tuple[str, ...] = ()


def wake_rows(there: Stand) -> list[Row]:
    """Rows of four programs, of the sandbox alone, and of a stopped site that its owner starts."""
    rows = asyncio.run(_programs(there))
    return [*rows, _sandbox_alone(), _started_site(there)]


async def _programs(there: Stand) -> list[Row]:
    async with sandbox_lab(warm=True) as lab:
        release = _release(there, lab)
        programs = _chosen(release)
        for program in programs:
            assert not program.warm or (lab.engine.warm and await lab.engine.warm.warmed(_spec(lab, program)))
        inside: dict[str, list[float]] = {program.title: [] for program in programs}
        bare: dict[str, list[float]] = {program.title: [] for program in programs}
        for _ in range(ROUNDS + 1):
            for program in programs:
                inside[program.title].append(await _inside(lab, program))
                bare[program.title].append(_bare(program, there.folder / "first.sock"))
        docked = await _in_docker(there, programs)
        rows = []
        for program in programs:
            rows += _compared(program, inside[program.title][1:], bare[program.title][1:], docked.get(program.title, [])[1:])
        ordinary, warm = (inside[program.title][1:] for program in programs if "gunicorn" in program.title)
        return [
            *rows,
            Row("pre-warmed Flask + gunicorn: ratio to the ordinary start", _ratio(warm, ordinary), "×", peer="ordinary", peer_value=1.0),
        ]


def _release(there: Stand, lab: SandboxLab | DockerLab) -> Path:
    release = copied_release(there, KINDS[0].site, lab.folder)
    (release / "server.js").write_text(NODE)
    for path in release.rglob("*"):
        os.chown(path, lab.uid(1), lab.uid(1), follow_symlinks=False)
    return release


async def _in_docker(there: Stand, programs: list[Program]) -> dict[str, list[float]]:
    """The same programs in containers of a Docker Engine, on a machine that has one."""
    if shutil.which("dockerd") is None:
        return {}
    found: dict[str, list[float]] = {}
    with running_dockerd() as dockerd:
        async with docker_lab(dockerd) as lab:
            _release(there, lab)
            for program in programs:
                if not program.warm:
                    found[program.title] = [await _inside(lab, program) for _ in range(DOCKER_ROUNDS)]
    return found


def _chosen(release: Path) -> list[Program]:
    node, script = require("node", "nodejs"), str(release / "server.js")
    options = " ".join(GUNICORN_OPTIONS)
    flask = f"exec env LISTEN_PID=$$ .venv/bin/gunicorn {options} app:app"
    files = [PYTHON, "-m", "http.server", "--bind", "127.0.0.1"]
    port = str(free_port())
    return [
        Program("Node", "exec node server.js", Listen.PORT, 80, lambda _: ([node, script], {"PORT": port})),
        Program("Flask + gunicorn", flask, Listen.FD, 220, lambda path: gunicorn(release, f"unix:{path}")),
        Program(
            "Flask + gunicorn, pre-warmed",
            flask,
            Listen.FD,
            30,
            lambda path: gunicorn(release, f"unix:{path}"),
            ("gunicorn", *GUNICORN_OPTIONS, "app:app"),
        ),
        Program("http.server", "exec python3 -m http.server $PORT", Listen.PORT, None, lambda _: ([*files, port], {"PORT": port})),
    ]


def _compared(program: Program, inside: list[float], bare: list[float], docked: list[float]) -> list[Row]:
    median, peer = statistics.median(inside) * 1000, statistics.median(bare) * 1000
    name = f"start until first byte, {program.title}"
    rows = [
        Row(f"{name}: median", median, "ms", program.bar_ms, peer="bare on the host", peer_value=peer),
        Row(f"{name}: 95th percentile", _high(inside) * 1000, "ms", peer="bare on the host", peer_value=_high(bare) * 1000),
        Row(f"{name}: ratio", _ratio(inside, bare), "×", peer="bare", peer_value=1.0),
    ]
    if docked:
        milliseconds = statistics.median(docked) * 1000
        rows.append(Row(f"{name}: beside Docker", median, "ms", peer="create and start in Docker", peer_value=milliseconds))
    return rows


def _ratio(ours: list[float], theirs: list[float]) -> float:
    """Median of the ratios of what was measured in turns."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def _high(values: list[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def _spec(lab: SandboxLab | DockerLab, program: Program) -> InstanceSpec:
    env = (("PATH", "/app/.venv/bin:/usr/bin:/bin"), ("PYTHONDONTWRITEBYTECODE", "1"), ("HOME", "/data"))
    adopts = program.command.startswith("exec node ")
    return replace(lab.instance(program.command, listen=program.listen, limits=LIMITS, env=env), warm=program.warm, adopts=adopts)


async def _inside(lab: SandboxLab | DockerLab, program: Program) -> float:
    spec = _spec(lab, program)
    began = time.perf_counter()
    await lab.engine.start(spec)
    await asyncio.to_thread(await_byte, str(spec.socket))
    seconds = time.perf_counter() - began
    await lab.engine.stop(spec.id, 2.0)
    await lab.engine.remove(spec.id)
    return seconds


def _bare(program: Program, path: Path) -> float:
    path.unlink(missing_ok=True)
    argv, env = program.bare(path)
    began = time.perf_counter()
    process = subprocess.Popen(
        argv, env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    await_byte(int(env["PORT"]) if program.listen is Listen.PORT else str(path))
    seconds = time.perf_counter() - began
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return seconds


def await_byte(where: str | int) -> None:
    """Ask at a unix path or a port of loopback until something answers. Raises TimeoutError."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not _answers(where):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing answers at {where}")
        time.sleep(0.001)


def _answers(where: str | int) -> bool:
    family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(DEADLINE_SECONDS)
        try:
            client.connect(where if isinstance(where, str) else ("127.0.0.1", where))
            client.sendall(REQUEST)
            return bool(client.recv(1))
        except OSError:
            return False


def _sandbox_alone() -> Row:
    """bubblewrap around a program that does nothing."""
    bwrap = require("bwrap", "bubblewrap")
    bare, boxed = [], []
    for _ in range(COMMANDS):
        bare.append(_run(["/usr/bin/true"]))
        boxed.append(_run([bwrap, *BWRAP, "/usr/bin/true"]))
    return Row(
        "sandbox around `true`", statistics.median(boxed) * 1000, "ms", peer="`true` bare", peer_value=statistics.median(bare) * 1000
    )


def _run(argv: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(argv, check=True)
    return time.perf_counter() - began


def _started_site(there: Stand) -> Row:
    """The whole way: API, database, bus, node, sandbox, router."""
    site, seconds = KINDS[0].site, []
    api, visitor = there.api(), there.visitor(site)
    for _ in range(5):
        api.call("POST", f"/sites/{site}/stop")
        visitor.await_status(503)
        there.settle(site)
        began = time.perf_counter()
        api.call("POST", f"/sites/{site}/start")
        visitor.await_status(200)
        seconds.append(time.perf_counter() - began)
        there.settle(site)
    api.close()
    visitor.close()
    return Row("stopped Flask site, start asked for until served: median", statistics.median(seconds) * 1000, "ms")
