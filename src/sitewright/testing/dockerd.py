"""A real Docker Engine for tests: its own folders, its own network namespace with a way out, gone afterwards.

The daemon never sees the machine's own network: it would set the FORWARD policy to DROP and leave its chains behind. Its namespace
gets a veth pair to the machine and is masqueraded there, so that containers reach the package index and the name server.
Needs root, and installs Debian's docker.io when dockerd is missing.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sitewright.errors import PreflightError
from sitewright.system.processes import run_blocking
from sitewright.testing import leftovers

START_SECONDS = 40.0
STOP_SECONDS = 20.0
SUFFIX_BYTES = 2
PACKAGES = ("docker.io", "iptables", "nftables", "iproute2", "util-linux", "tini")


@dataclass(frozen=True, slots=True)
class Dockerd:
    """A running daemon. ``host`` is what settings.docker_host takes; ``namespace`` is the name of its network namespace."""

    folder: Path
    namespace: str
    pid: int

    @property
    def host(self) -> str:
        """unix:// and the path of its socket."""
        return f"unix://{self.folder / 's'}"


def install_docker() -> None:
    """Install Debian's docker.io when dockerd is missing. Raises PreflightError with the line to run when it cannot."""
    if shutil.which("dockerd") and shutil.which("nft"):
        return
    line = ["apt-get", "install", "-y", "--no-install-recommends", *PACKAGES]
    resolution = f"Run as root: {' '.join(line)}"
    if os.geteuid() != 0:
        raise PreflightError("These tests need a Docker Engine, and dockerd is missing.", resolution=resolution)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run_blocking(["apt-get", "update", "-qq"], env=environment, timeout=300)
    done = run_blocking(line, env=environment, timeout=600)
    if not done.ok:
        raise PreflightError("docker.io could not be installed.", details=done.errors.decode()[-1000:], resolution=resolution)


def must(*argv: str, stdin: str = "") -> str:
    """Run one line of set-up and return its output. Raises AssertionError with what it complained of."""
    done = run_blocking(argv, stdin=stdin.encode(), timeout=30)
    assert done.ok, f"{' '.join(argv)}: {done.errors.decode()}"
    return done.output.decode()


def _uplink() -> tuple[str, int]:
    route = json.loads(must("ip", "-j", "route", "show", "default"))
    if not route:
        return "lo", 1500
    device = str(route[0]["dev"])
    return device, int(json.loads(must("ip", "-j", "link", "show", device))[0]["mtu"])


@contextlib.contextmanager
def network_with_a_way_out() -> Iterator[str]:
    """A network namespace whose traffic leaves through this machine's uplink, masqueraded. Yields its name."""
    tag = f"{os.getpid():x}{secrets.token_hex(SUFFIX_BYTES)}"  # interface names have 15 characters at most
    name, outer, inner, table = f"swd-{tag}", f"swdo{tag}", f"swdi{tag}", f"swd_{tag}"
    leftovers.note(name)
    leftovers.note(table)
    network = secrets.randbelow(2**15) * 4  # one of the /30 networks of 198.18.0.0/15
    here, there = (f"198.{18 + (network >> 16)}.{network >> 8 & 255}.{(network & 255) + host}" for host in (1, 2))
    device, mtu = _uplink()
    inside = ("nsenter", f"--net=/run/netns/{name}")
    try:
        must("ip", "netns", "add", name)
        must("ip", "link", "add", outer, "mtu", str(mtu), "type", "veth", "peer", inner, "mtu", str(mtu), "netns", name)
        must("ip", "addr", "add", f"{here}/30", "dev", outer)
        must("ip", "link", "set", outer, "up")
        must(*inside, "ip", "addr", "add", f"{there}/30", "dev", inner)
        must(*inside, "ip", "link", "set", inner, "up")
        must(*inside, "ip", "link", "set", "lo", "up")
        must(*inside, "ip", "route", "add", "default", "via", here)
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        must(
            "nft",
            "-f",
            "-",
            stdin=f"table ip {table} {{ chain out {{ type nat hook postrouting priority srcnat; "
            f'ip saddr {there} oifname "{device}" masquerade; }}; }}\n',
        )
        yield name
    finally:
        run_blocking(["ip", "netns", "del", name])
        run_blocking(["ip", "link", "del", outer])
        run_blocking(["nft", "delete", "table", "ip", table])


def _answers(path: Path) -> bool:
    connection = http.client.HTTPConnection("docker")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        try:
            client.connect(str(path))
            connection.sock = client
            connection.request("GET", "/_ping")
            return connection.getresponse().status == 200
        except OSError:
            return False


def start_dockerd(folder: Path, namespace: str) -> subprocess.Popen[bytes]:
    """Start a daemon below *folder* inside *namespace* and wait until it answers. Raises AssertionError with the end of its log."""
    log = folder / "log"
    argv = ["setpriv", "--pdeathsig", "TERM", "nsenter", f"--net=/run/netns/{namespace}", "dockerd"]
    argv += ["--data-root", str(folder / "data"), "--exec-root", str(folder / "x"), "--pidfile", str(folder / "pid")]
    argv += ["-H", f"unix://{folder / 's'}", "--storage-driver", "overlay2", "--exec-opt", "native.cgroupdriver=cgroupfs"]
    with log.open("ab") as output:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    deadline = time.monotonic() + START_SECONDS
    while not _answers(folder / "s"):
        problem = f"dockerd does not answer: {log.read_text(errors='replace')[-2000:]}"
        assert process.poll() is None, problem
        assert time.monotonic() < deadline, problem
        time.sleep(0.05)
    return process


def stop_dockerd(process: subprocess.Popen[bytes]) -> None:
    """End a daemon and what it started; its containers end with it."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def maker_of(tag: str) -> int:
    """The pid of the process that named a network *tag*."""
    return int(tag[: -2 * SUFFIX_BYTES], 16)


def sweep() -> None:
    """Remove what a test run that was killed has left: everything is named after the process that made it."""
    for namespace in Path("/run/netns").glob("swd-*"):
        tag = namespace.name.removeprefix("swd-")
        if not Path(f"/proc/{maker_of(tag)}").exists():
            run_blocking(["ip", "netns", "del", namespace.name])
            run_blocking(["nft", "delete", "table", "ip", f"swd_{tag}"])
    for folder in Path(tempfile.gettempdir()).glob("swd-*-*"):
        if not Path(f"/proc/{int(folder.name.split('-')[1], 16)}").exists():
            _remove(folder)


def _remove(folder: Path) -> None:
    for line in reversed(Path("/proc/mounts").read_text().splitlines()):
        if line.split()[1].startswith(f"{folder}/"):
            run_blocking(["umount", "-l", line.split()[1]])
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def running_dockerd() -> Iterator[Dockerd]:
    """A daemon for the length of the block; everything it made is gone afterwards."""
    install_docker()
    sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"swd-{os.getpid():x}-"))
    try:
        with network_with_a_way_out() as namespace:
            process = start_dockerd(folder, namespace)
            try:
                yield Dockerd(folder, namespace, process.pid)
            finally:
                stop_dockerd(process)
    finally:
        _remove(folder)
