"""A warm start differs from an ordinary one in nothing that the site could notice but speed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from sitewright.domain.limits import MIB, Limits
from sitewright.domain.processes import Listen
from sitewright.engines.base import Exit, InstanceSpec
from sitewright.engines.sandbox.record import Folder, load
from sitewright.testing.engine_lab import end, exit_of, get, says, until
from sitewright.testing.warm_lab import FLASK_APP, GUNICORN, SITE_PACKAGES, WarmLab, warm_lab

ROOM = Limits(memory_bytes=256 * MIB, pids=64)
PATH = (("PATH", "/app/.venv/bin:/usr/bin:/bin"), ("PYTHONDONTWRITEBYTECODE", "1"), ("HOME", "/data"))
CHANGING = re.compile(
    r"^(?:Name|State|Pid|Tgid|Ngid|PPid|NStgid|NSpid|NSpgid|NSsid|Vm\w+|Rss\w+|Hugetlb\w+|FDSize|Threads|SigQ|\w*voluntary_ctxt_switches"
    r"|x86_Thread\w*|SigPnd|ShdPnd|SigCgt|SigIgn):"
)
"""Lines of /proc/self/status that no two processes share. SigCgt and SigIgn have what the server's threads set once they run."""
THREADS_SIGNALS = 0b11 << 31
"""32 and 33, the C library's own."""

REPORT = """
import json, locale, os, re, resource, signal, sys, time, threading
import flask
app = flask.Flask(__name__)
@app.get("/")
def hello():
    return "hello"

def text(name, pid):
    with open(f"/proc/{pid}/{name}", errors="replace") as file:
        return file.read()

def links(name, pid):
    folder, found = f"/proc/{pid}/{name}", {}
    for entry in os.listdir(folder):
        try:
            found[entry] = os.readlink(f"{folder}/{entry}")
        except OSError as error:
            found[entry] = error.strerror
    return found

def process(pid):
    return {
        "status": text("status", pid), "limits": text("limits", pid), "mounts": text("mountinfo", pid), "cgroup": text("cgroup", pid),
        "cmdline": text("cmdline", pid), "environ": text("environ", pid), "comm": text("comm", pid), "oom": text("oom_score_adj", pid),
        "own_spaces": links("ns", pid) == links("ns", 1), "fds": links("fd", pid), "exe": os.readlink(f"/proc/{pid}/exe"),
        "cwd": os.readlink(f"/proc/{pid}/cwd"), "root": os.readlink(f"/proc/{pid}/root"),
        "maps": sorted({line.split(maxsplit=5)[5] for line in text("maps", pid).splitlines() if len(line.split()) > 5}),
        "personality": text("personality", pid) if os.access(f"/proc/{pid}/personality", os.R_OK) else "",
    }

main = sys.modules["__main__"]
report = {
    "server": process(os.getppid()), "worker": process(os.getpid()), "argv": sys.argv, "orig_argv": sys.orig_argv, "path": sys.path,
    "flags": str(sys.flags), "prefix": [sys.prefix, sys.exec_prefix, sys.base_prefix], "executable": sys.executable,
    "main": [main.__file__, main.__name__, main.__spec__, sorted(main.__dict__)], "env": dict(os.environ), "umask": os.umask(0o22),
    "flask": flask.__file__, "loader": type(flask.__spec__.loader).__name__, "locale": locale.setlocale(locale.LC_ALL), "tz": time.tzname,
    "encodings": [sys.stdout.encoding, sys.stderr.errors, sys.getfilesystemencoding()], "writes": sys.dont_write_bytecode,
    "groups": os.getgroups(), "threads": threading.main_thread().name, "nice": os.nice(0), "affinity": len(os.sched_getaffinity(0)),
    "own": sorted(set(sys.modules) & {"parent", "entering", "rehearsal", "sameness", "serving"}),
    "finders": [str(type(each)) for each in sys.meta_path],
    "argv0": sys.argv[0], "hooks": sys.excepthook is sys.__excepthook__, "gc": __import__("gc").isenabled(), "processes": sorted(
        text("comm", entry).strip() for entry in os.listdir("/proc") if entry.isdigit()),
}
print("REPORT" + json.dumps(report) + "END", flush=True)
"""


@pytest.fixture
async def lab() -> AsyncIterator[WarmLab]:
    async with warm_lab() as lab:
        yield lab


def web(lab: WarmLab, *, warm: bool, env: tuple[tuple[str, str], ...] = (), command: str = GUNICORN) -> InstanceSpec:
    spec = lab.instance(command, listen=Listen.FD, limits=ROOM, env=(*PATH, *env))
    return spec if warm else replace(spec, warm=())


async def begin(lab: WarmLab, spec: InstanceSpec, *, ahead: bool = False) -> None:
    """Start it when its parent is warm, or first have its sandbox made *ahead*."""
    assert lab.engine.warm is not None
    assert not spec.warm or await lab.engine.warm.warmed(spec)
    assert not ahead or await lab.engine.prepare(spec)
    await lab.engine.start(spec)


async def report_of(lab: WarmLab, *, warm: bool, env: tuple[tuple[str, str], ...] = (), ahead: bool = False) -> dict[str, Any]:
    """What an app finds about itself, with what differs between any two instances made alike."""
    spec = web(lab, warm=warm, env=env)
    await begin(lab, spec, ahead=ahead)
    await says(lab, spec.id, b"END")
    record = load(Folder(lab.settings.paths.instances / spec.id))
    assert record is not None
    assert bool(record.app[0]) is warm
    text = lab.text(spec.id).partition("REPORT")[2].partition("END")[0].replace(spec.id, "<id>")
    await end(lab, spec.id)
    return json.loads(text)


def alike(process: dict[str, Any]) -> dict[str, Any]:
    """Without numbers of processes, inodes and mounts."""
    made = dict(process)
    made["status"] = [line for line in process["status"].splitlines() if not CHANGING.match(line)]
    made["mounts"] = sorted(re.sub(r"^\d+ \d+ \d+:\d+", "", line) for line in process["mounts"].splitlines())
    made["fds"] = sorted(
        re.sub(r"\d+|wgunicorn-\w+", "N", target) for target in process["fds"].values() if not target.startswith("anon_inode")
    )
    made["environ"] = sorted(word for word in process["environ"].split("\0") if not word.startswith("LISTEN_PID="))
    made["mounts"] = [re.sub(r"(?:master|shared|propagate_from):\d+|/tmp/wgunicorn-\S+", "", line) for line in made["mounts"]]
    (ignored,) = re.findall(r"^SigIgn:\s+(\w+)", process["status"], re.MULTILINE)
    made["ignored"] = int(ignored, 16) & ~THREADS_SIGNALS
    made["maps"] = [path for path in process["maps"] if path.startswith("/app/")]
    return made


def differences(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """What is not alike; of lists only what one of them lacks."""
    found: dict[str, Any] = {}
    for key, value in one.items():
        if isinstance(value, list) and value != other[key]:
            found[key] = ([item for item in value if item not in other[key]], [item for item in other[key] if item not in value])
        elif value != other[key]:
            found[key] = (value, other[key])
    return found


EXTRA = (("TZ", "Europe/Paris"), ("GREETING", "two words"))


async def test_a_start_in_a_sandbox_made_ahead_looks_like_any_other_from_within(lab: WarmLab) -> None:
    lab.app(REPORT)
    ahead, ordinary = await report_of(lab, warm=False, env=EXTRA, ahead=True), await report_of(lab, warm=False, env=EXTRA)
    for role in ("server", "worker"):
        assert differences(alike(ahead.pop(role)), alike(ordinary.pop(role))) == {}
    assert differences(ahead, ordinary) == {}


@pytest.mark.parametrize("ahead", [False, True])
async def test_a_warm_and_an_ordinary_start_look_alike_from_within(lab: WarmLab, ahead: bool) -> None:
    lab.app(REPORT)
    warm, ordinary = await report_of(lab, warm=True, env=EXTRA, ahead=ahead), await report_of(lab, warm=False, env=EXTRA)
    for role in ("server", "worker"):
        a, b = alike(warm.pop(role)), alike(ordinary.pop(role))
        assert a["own_spaces"]
        if role == "server":
            # What the worker imports, its master may have as well.
            a.pop("maps")
            b.pop("maps")
        assert differences(a, b) == {}
    # The holder is there as well, and pids are one higher.
    assert sorted([*ordinary.pop("processes"), "sh"]) == warm.pop("processes")
    for found in (warm, ordinary):
        found["env"].pop("LISTEN_PID", None)
    assert differences(warm, ordinary) == {}
    assert warm["own"] == []


async def test_patched_packages_are_the_tenants_own(lab: WarmLab) -> None:
    lab.app("from flask import Flask, PATCHED\nimport werkzeug\nprint('FOUND', PATCHED, flush=True)\n" + FLASK_APP)
    with (lab.folder / SITE_PACKAGES / "flask/__init__.py").open("a") as file:
        file.write("\nPATCHED = 'by the tenant'\n")
    spec = web(lab, warm=True)
    await begin(lab, spec)
    await says(lab, spec.id, b"FOUND by the tenant")


async def test_a_package_that_was_compared_is_the_tenants_own_once_it_is_changed_however_secretly(lab: WarmLab) -> None:
    lab.app("import flask\nprint('FOUND', flask.template_rendered.name, flush=True)\n" + FLASK_APP)
    assert lab.engine.warm is not None
    deadline = asyncio.get_running_loop().time() + 20
    while str(lab.folder) not in lab.engine.warm.known:
        assert asyncio.get_running_loop().time() < deadline, "files that nobody changes are remembered"
        spec = web(lab, warm=True)
        await begin(lab, spec)
        await says(lab, spec.id, b"FOUND template-rendered")
        await end(lab, spec.id)
    signals = lab.folder / SITE_PACKAGES / "flask/signals.py"
    times = signals.stat()
    signals.write_text(signals.read_text().replace('"template-rendered"', '"template-RENDERED"'))
    os.utime(signals, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert signals.stat().st_size == times.st_size
    shutil.rmtree(signals.parent / "__pycache__")  # Python itself believes in times and length
    spec = web(lab, warm=True)
    await begin(lab, spec)
    await says(lab, spec.id, b"FOUND template-RENDERED")


async def test_another_version_is_the_tenants_own(lab: WarmLab) -> None:
    lab.app("import importlib.metadata as m, blinker, flask\nprint('FOUND', m.version('blinker'), blinker.OTHER, flush=True)\n" + FLASK_APP)
    packages = lab.folder / SITE_PACKAGES
    (info,) = packages.glob("blinker-*.dist-info")
    (info / "METADATA").write_text((info / "METADATA").read_text().replace("Version: ", "Version: 99."))
    info.rename(packages / "blinker-99.dist-info")
    with (packages / "blinker/__init__.py").open("a") as file:
        file.write("\nOTHER = True\n")
    spec = web(lab, warm=True)
    await begin(lab, spec)
    await says(lab, spec.id, b"True")


@pytest.mark.parametrize("name", ["json.py", "click.py", "markupsafe/__init__.py", ".venv/lib/python3.11/site-packages/odd.pth"])
async def test_a_file_that_hides_a_module_is_the_tenants_own(lab: WarmLab, name: str) -> None:
    lab.app("import sys\nprint('ARGS', open(f'/proc/{__import__(\"os\").getppid()}/stat').read().split()[3], flush=True)\n" + FLASK_APP)
    hiding = lab.folder / name
    hiding.parent.mkdir(exist_ok=True)
    hiding.write_text("")
    hiding.chmod(0o644)
    spec = web(lab, warm=True, command="echo ORDINARY; exec sleep 600")
    await begin(lab, spec)
    await says(lab, spec.id, b"ORDINARY")


@pytest.mark.parametrize("variable", ["PYTHONPATH", "PYTHONHASHSEED", "LD_PRELOAD", "PYTHONOPTIMIZE", "LC_ALL", "OPENSSL_CONF"])
async def test_a_variable_that_changes_the_interpreter_makes_an_ordinary_start(lab: WarmLab, variable: str) -> None:
    lab.app()
    spec = web(lab, warm=True, env=((variable, "1"),), command="echo ORDINARY; exec sleep 600")
    await begin(lab, spec)
    await says(lab, spec.id, b"ORDINARY")


async def test_an_app_that_cannot_be_imported_ends_as_it_would_and_says_the_same(lab: WarmLab) -> None:
    lab.app("raise RuntimeError('no such luck')")
    ends = []
    for warm in (True, False):
        spec = web(lab, warm=warm)
        await begin(lab, spec)
        exit_of_it = await exit_of(lab, spec.id)
        ends.append((exit_of_it, "no such luck" in lab.text(spec.id), "/sitewright" in lab.text(spec.id)))
    assert ends[0] == ends[1]


async def test_the_end_of_a_parent_touches_no_copy_and_the_next_start_is_an_ordinary_one(lab: WarmLab) -> None:
    lab.app()
    spec = web(lab, warm=True)
    await begin(lab, spec)

    async def answers() -> bool:
        return await asyncio.to_thread(get, spec.socket) == 200

    await until(answers, "it answers")
    assert lab.engine.warm is not None
    for pid in lab.engine.warm.pids():
        os.kill(pid, signal.SIGKILL)
    other = web(lab, warm=True)
    await lab.engine.start(other)

    async def other_answers() -> bool:
        return await asyncio.to_thread(get, other.socket) == 200

    await until(other_answers, "the other answers")
    assert await answers()
    await lab.engine.stop(spec.id, 5)
    assert await exit_of(lab, spec.id) == Exit(0)


async def test_a_copy_made_ahead_that_was_killed_is_made_anew(lab: WarmLab) -> None:
    lab.app()
    warm = lab.engine.warm
    assert warm is not None

    async def ahead() -> bool:
        return bool(warm.spares())

    await until(ahead, "a copy is made ahead")
    (spare,) = warm.spares()
    os.kill(spare, signal.SIGKILL)
    spec = web(lab, warm=True)
    await begin(lab, spec)

    async def answers() -> bool:
        return await asyncio.to_thread(get, spec.socket) == 200

    await until(answers, "it answers")


async def test_a_site_sees_and_reaches_nothing_of_the_parent(lab: WarmLab) -> None:
    lab.app(FLASK_APP + HOSTILE)
    spec = web(lab, warm=True)
    await begin(lab, spec)
    await says(lab, spec.id, b"END")
    found = json.loads(lab.text(spec.id).partition("REPORT")[2].partition("END")[0])
    assert found["killed"] == []
    assert found["traced"] == []
    assert found["descriptors"] == []
    assert found["capabilities"] == [0, 0, 0, 0, 0]
    assert found["regained"] == []
    assert found["secrets"] == []


HOSTILE = """
import ctypes, json, os, re, signal
libc = ctypes.CDLL(None, use_errno=True)
report = {"killed": [], "traced": [], "descriptors": [], "regained": [], "secrets": []}
inside = {int(entry) for entry in os.listdir("/proc") if entry.isdigit()}
for pid in range(1, 5000):
    if pid not in inside:
        try:
            os.kill(pid, 0)
            report["killed"].append(pid)
        except OSError:
            pass
for pid in inside - {os.getpid()}:
    if libc.ptrace(16, pid, 0, 0) == 0:
        report["traced"].append(pid)
for name in os.listdir(f"/proc/{os.getppid()}/fd"):
    target = os.readlink(f"/proc/{os.getppid()}/fd/{name}")
    if "pidfd" in target or "memfd" in target or target.startswith("/proc") or (target.startswith("socket") and int(name) not in (3, *OWN)):
        report["descriptors"].append([name, target])
status = open("/proc/self/status").read()
report["capabilities"] = [int(value, 16) for value in re.findall(r"^Cap\\w+:\\t(\\w+)", status, re.MULTILINE)]
for what, call in {
    "setuid": lambda: os.setuid(0), "setgroups": lambda: os.setgroups([0]), "chroot": lambda: os.chroot("/tmp"),
    "unshare": lambda: libc.unshare(0x10000000) == 0 or 1 / 0, "setns": lambda: libc.setns(os.open("/proc/1/ns/mnt", 0), 0) == 0 or 1 / 0,
    "nice": lambda: os.setpriority(os.PRIO_PROCESS, 0, -5), "usr": lambda: open("/usr/owned", "w"), "site": lambda: open("/sitewright/x"),
}.items():
    try:
        call()
        report["regained"].append(what)
    except (OSError, ZeroDivisionError):
        pass
print("REPORT" + json.dumps(report) + "END", flush=True)
""".replace("OWN", "range(4, 40)")


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
@pytest.mark.parametrize("framework", ["django", "flask", "fastapi", "starlette"])
async def test_a_parent_of_each_family_gets_warm(lab: WarmLab, server: str, framework: str) -> None:
    (lab.folder / SITE_PACKAGES / framework).mkdir()
    spec = replace(lab.instance(listen=Listen.FD), warm=(server, "app:app"))
    assert lab.engine.warm is not None
    assert await lab.engine.warm.warmed(spec)
