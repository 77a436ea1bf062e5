"""Charlie runs any code he likes in his own site. What he must not reach is tried from there, through the running platform."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sitewright.testing.platform import Platform
from sitewright.testing.visitor import VisitedSite

HOSTILE = """
import contextlib
import io
import traceback

from flask import Flask, jsonify, request

app = Flask(__name__)


@app.get("/")
def index():
    return "a harmless page"


@app.post("/run")
def run():
    names = {}
    try:
        exec(request.get_data(as_text=True), names)
        return jsonify(names.get("result"))
    except BaseException:
        return jsonify({"error": traceback.format_exc()})
"""
SECRET = "alice-keeps-this-to-herself"


def flask_folder(folder: Path, code: str) -> Path:
    folder.mkdir()
    (folder / "app.py").write_text(code)
    (folder / "requirements.txt").write_text("flask\n")
    return folder


@pytest.fixture(scope="module")
def alices(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VisitedSite]:
    folder = flask_folder(
        tmp_path_factory.mktemp("alice") / "app",
        "from flask import Flask\napp = Flask(__name__)\n\n\n@app.get('/')\ndef index():\n    return 'alice'\n",
    )
    (folder / "secret.txt").write_text(SECRET)
    platform.cli("sites", "create", "alices-diary", "--from", str(folder))
    yield platform.site("alices-diary", folder)
    platform.cli("sites", "delete", "alices-diary", "--confirm", "alices-diary")


@pytest.fixture(scope="module")
def charlies(platform: Platform, alices: VisitedSite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VisitedSite]:
    folder = flask_folder(tmp_path_factory.mktemp("charlie") / "app", HOSTILE)
    platform.cli("sites", "create", "charlies-corner", "--from", str(folder))
    yield platform.site("charlies-corner", folder)
    platform.cli("sites", "delete", "charlies-corner", "--confirm", "charlies-corner")


def inside(site: VisitedSite, code: str, timeout: float = 60.0) -> Any:
    """What `result` is after *code* ran inside the site."""
    return site.post("/run", content=textwrap.dedent(code), timeout=timeout).json()


def test_no_file_of_the_platform_or_of_another_site_can_be_read(platform: Platform, charlies: VisitedSite) -> None:
    home = platform.settings.home
    wanted = [
        str(home),
        str(home / "token"),
        str(platform.settings.paths.database),
        str(home / "sites"),
        str(platform.settings.paths.run),
        "/root",
        "/home",
    ]
    code = f"""
    import os
    result = []
    for path in {wanted!r} + ["/etc/shadow", "/proc/1/root/etc/shadow"]:
        try:
            result.append([path, os.listdir(path) if os.path.isdir(path) else open(path).read()])
        except OSError:
            pass
    result = [found for found in result if found[1]]
    """
    assert inside(charlies, code) == []


def test_searching_the_whole_tree_finds_no_other_sites_words(charlies: VisitedSite) -> None:
    code = f"""
    import os
    result = []
    for folder, _, files in os.walk("/"):
        if folder.startswith(("/proc", "/sys", "/usr")):
            continue
        for name in files:
            path = os.path.join(folder, name)
            try:
                if os.path.isfile(path) and os.path.getsize(path) < 100_000 and {SECRET!r}.encode() in open(path, "rb").read():
                    result.append(path)
            except OSError:
                pass
    """
    assert inside(charlies, code) == []


def test_only_its_own_processes_are_seen(charlies: VisitedSite) -> None:
    code = """
    import os
    result = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            result.append(open(f"/proc/{pid}/cmdline").read().replace("\\0", " "))
        except OSError:
            pass
    """
    seen = inside(charlies, code)
    assert len(seen) < 12, seen
    assert not any("nginx" in line or "nats" in line or "sitewright.manager" in line or "sitewright.up" in line for line in seen), seen


def test_it_is_nobody_and_cannot_become_anybody(charlies: VisitedSite) -> None:
    code = """
    import os
    status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
    result = {"uid": os.getuid()}
    for key, name in (("caps", "CapEff"), ("bounding", "CapBnd"), ("nnp", "NoNewPrivs"), ("seccomp", "Seccomp")):
        result[key] = status[name].strip()
    """
    found = inside(charlies, code)
    assert found["uid"] != 0
    assert int(found["caps"], 16) == 0
    assert int(found["bounding"], 16) == 0
    assert (found["nnp"], found["seccomp"]) == ("1", "2")


def test_neither_loopback_nor_bus_nor_another_instance_nor_private_networks_answer(platform: Platform, charlies: VisitedSite) -> None:
    bus = int(platform.settings.paths.bus_port_file.read_text().strip().rsplit(":", 1)[1])
    http = platform.settings.http_port
    code = f"""
    import re, socket, struct
    gateway = ""
    for line in open("/proc/net/route").read().splitlines()[1:]:
        fields = line.split()
        if fields[1] == "00000000":
            gateway = socket.inet_ntoa(struct.pack("<L", int(fields[2], 16)))
    own = ""
    try:
        probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); probe.connect(("192.0.2.77", 9)); own = probe.getsockname()[0]
    except OSError:
        pass
    hosts = ["10.0.0.1", "172.17.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1"]
    if gateway:
        hosts.append(gateway)
    if own:
        parts = own.split(".")
        hosts += [".".join(parts[:3] + [str((int(parts[3]) + step) % 256)]) for step in (1, 2, 3, 4)]
    result = []
    for host in hosts:
        for port in ({bus}, {http}, 22, 80):
            probe = socket.socket(); probe.settimeout(0.3)
            try:
                probe.connect((host, port)); result.append([host, port])
            except OSError:
                pass
            finally:
                probe.close()
    for port in ({bus}, {http}):
        probe = socket.socket(); probe.settimeout(0.3)
        try:
            probe.connect(("127.0.0.1", port)); result.append(["loopback", port])
        except OSError:
            pass
    """
    assert inside(charlies, code) == []


def test_the_hosts_abstract_sockets_are_out_of_reach(charlies: VisitedSite) -> None:
    assert inside(charlies, "result = [line for line in open('/proc/net/unix').read().splitlines() if '@' in line]") == []


def test_nothing_can_be_written_outside_its_own_folders(charlies: VisitedSite) -> None:
    code = """
    import os
    result = []
    for folder in ("/", "/usr", "/usr/local/bin", "/etc", "/app", "/run", "/var", "/bin", "/proc/sys/kernel", "/sys", "/dev"):
        try:
            with open(os.path.join(folder, "planted"), "w") as file:
                file.write("x")
            result.append(folder)
        except OSError:
            pass
    open(os.environ["SITEWRIGHT_DATA"] + "/mine", "w").write("x")
    open("/tmp/mine", "w").write("x")
    """
    written = inside(charlies, code)
    assert set(written) <= {"/run", "/dev"}, written  # both are empty tmpfs of its own where they are writable at all


@pytest.mark.parametrize(
    "call",
    [
        "libc.unshare(0x10000000)",
        "libc.mount(b'none', b'/tmp', b'tmpfs', 0, None)",
        "libc.ptrace(16, 1, 0, 0)",
        "libc.setuid(0)",
        "libc.chroot(b'/tmp')",
        "libc.syscall(250, 0, 0, 0, 0)",
        "libc.syscall(321, 0, 0, 0)",
        "libc.syscall(425, 8, 0)",
    ],
    ids=["unshare", "mount", "ptrace", "setuid", "chroot", "keyctl", "bpf", "io_uring"],
)
def test_calls_that_could_break_out_are_refused(charlies: VisitedSite, call: str) -> None:
    assert inside(charlies, f"import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nresult = {call}") == -1


def test_memory_beyond_the_limit_kills_only_the_site_and_its_timeline_says_so(
    platform: Platform, alices: VisitedSite, charlies: VisitedSite
) -> None:
    charlies.post("/run", content="x = bytearray(900 * 1024 * 1024)\nfor i in range(0, len(x), 4096): x[i] = 1", timeout=60)
    assert alices.get("/").text == "alice"
    assert charlies.eventually(lambda: charlies.get("/").text == "a harmless page")

    def told() -> bool:
        events = platform.api("GET", "/sites/charlies-corner/events").json()["items"]
        return any("used 256 MB of 256 MB" in event["text"] for event in events)

    assert charlies.eventually(told)


def test_a_fork_bomb_ends_at_the_limit_of_processes(alices: VisitedSite, charlies: VisitedSite) -> None:
    code = """
    import os, signal, time
    children = []
    try:
        while len(children) < 2000:
            pid = os.fork()
            if pid == 0:
                time.sleep(20); os._exit(0)
            children.append(pid)
    except OSError:
        pass
    for pid in children:
        os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0)
    result = len(children)
    """
    assert inside(charlies, code) < 200
    assert alices.get("/").text == "alice"


def test_the_internet_can_be_asked_for_names(charlies: VisitedSite) -> None:
    code = """
    import socket
    resolver = next(line.split()[1] for line in open("/etc/resolv.conf") if line.startswith("nameserver"))
    query = b"\\x12\\x34\\x01\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x07example\\x03org\\x00\\x00\\x01\\x00\\x01"
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); probe.settimeout(10)
    probe.sendto(query, (resolver, 53))
    result = probe.recv(512)[:2] == b"\\x12\\x34"
    """
    assert inside(charlies, code) is True


def test_a_flood_of_log_lines_costs_its_owner_lines_and_not_the_disk(
    platform: Platform, alices: VisitedSite, charlies: VisitedSite
) -> None:
    before = folder_bytes(platform.settings.home / "sites")
    inside(
        charlies,
        "import sys, time\nend = time.monotonic() + 5\nwhile time.monotonic() < end: print('flood ' * 2000)\nresult = 1",
    )
    assert folder_bytes(platform.settings.home / "sites") - before < 20 * 1024 * 1024
    assert alices.get("/").text == "alice"


def folder_bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
