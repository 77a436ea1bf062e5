"""The processes of one platform as a plan for the supervisor."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sitewright.bus.server import bus_address, nats_argv
from sitewright.config.settings import Settings
from sitewright.router import listen_addresses, nginx_argv
from sitewright.system.accounts import Account, current_account, manager_account, router_account
from sitewright.system.files import write_atomic
from sitewright.up.leftovers import notes_folder
from sitewright.up.listening import MANAGER, SSH, WAKE
from sitewright.up.reach import ROOT, Program

PASSED_PREFIXES = ("SITEWRIGHT_", "PIP_", "UV_", "NPM_", "npm_config_")
PASSED = frozenset({"DATABASE_URL", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"}) | {
    *("GIT_SSL_CAINFO", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "TZ"),
}
STAGES = (["nginx", "ssh", "manager"], ["node"], ["teardown"], ["nats"])
"""The order of stopping; what stands together is stopped together."""
DOOR_BACKLOG = 256
BACKLOG = 4096
"""Requests that wait while nobody answers; the kernel's own limit (net.core.somaxconn) holds too."""


def part_environment(settings: Settings, environment: Mapping[str, str], source: str) -> dict[str, str]:
    """What every part gets: the settings as they are now, package and certificate settings of this machine, and little else."""
    env = {name: value for name, value in environment.items() if name in PASSED or name.startswith(PASSED_PREFIXES)}
    for name, value in settings.model_dump(mode="json").items():
        env[f"SITEWRIGHT_{name.upper()}"] = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    env["SITEWRIGHT_RUN"] = str(settings.paths.run)
    env |= {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONPATH": source,
        "PYTHONUNBUFFERED": "1",
        "MALLOC_ARENA_MAX": "2",
    }
    return env


def _spec(name: str, argv: list[str], env: dict[str, str], account: Account, **more: object) -> dict[str, object]:
    return {
        "name": name,
        "argv": argv,
        "env": env,
        "user": account.name,
        "uid": account.uid,
        "gid": account.gid,
        "cwd": "/",
        "stop_signal": int(signal.SIGTERM),
        "stop_seconds": 4.0,
        "group": True,
        **more,
    }


def moved(argv: list[str], program: Program) -> list[str]:
    """The argv with programs inside the repository named where *program* is reachable."""
    root = str(ROOT)
    there = str(Path(program.source).parent)
    return [there + word.removeprefix(root) if word.startswith(root + "/") else word for word in argv]


def plan(settings: Settings, program: Program, *, lock: int, environment: Mapping[str, str] | None = None) -> dict[str, object]:
    """What the supervisor reads. ``lock`` is the descriptor of the platform's lock, which it inherits."""
    env = part_environment(settings, os.environ if environment is None else environment, program.source)
    me, manager = current_account(), manager_account()
    own = {**env, "HOME": str(settings.paths.node), "USER": me.name}
    managers = {**env, "HOME": str(settings.paths.database.parent), "USER": manager.name}
    python = [program.python, "-P"]
    bus_only = {"PATH": env["PATH"], "LANG": env["LANG"]}
    return {
        "folder": str(notes_folder(settings.paths)),
        "logs": str(settings.paths.logs),
        "lock": lock,
        "stages": [[name for name in stage if name != "ssh" or settings.ssh_port] for stage in STAGES],
        "sockets": sockets(settings),
        "again": supervisor_argv(plan_path(settings)),
        "processes": [
            _spec("nats", moved(nats_argv(settings), program), bus_only, manager, ready={"tcp": bus_address(settings)}),
            # Instances and builds are not of the node's group: they outlive it.
            _spec("node", [*python, "-m", "sitewright.up.node"], own, me, group=False, sockets={"SITEWRIGHT_WAKE_FD": WAKE}),
            _spec(
                "manager",
                [*python, "-m", "sitewright.manager.serve"],
                managers,
                manager,
                sockets={"SITEWRIGHT_MANAGER_FD": MANAGER},
                overlap=True,
                leave_seconds=12.0,
            ),
            _spec(
                "nginx",
                moved(nginx_argv(settings), program),
                bus_only,
                me,
                # The variable in which nginx finds the sockets of the one before it.
                sockets={"NGINX": [str(spec["name"]) for spec in router_sockets(settings)]},
                ready={"pid_file": str(settings.paths.run / "nginx" / "nginx.pid")},
                overlap=True,
                leave_signal=int(signal.SIGQUIT),
                leave_seconds=40.0,
            ),
            *_door(settings, [*python, "-m", "sitewright.ssh"], managers, manager),
        ],
        "teardown": _spec("teardown", [*python, "-m", "sitewright.up.teardown"], own, me, stop_seconds=12.0, group=False),
    }


def _door(settings: Settings, argv: list[str], env: dict[str, str], account: Account) -> list[dict[str, object]]:
    """The SSH door, if there is one."""
    if not settings.ssh_port:
        return []
    return [_spec("ssh", argv, env, account, sockets={"SITEWRIGHT_SSH_FD": SSH}, overlap=True, leave_seconds=15.0)]


def router_sockets(settings: Settings) -> list[dict[str, object]]:
    """Where nginx listens, as its configuration says."""
    specs: list[dict[str, object]] = []
    for name in listen_addresses(settings):
        if name.startswith("unix:"):
            # Whoever may enter the folder may connect, as with a socket that nginx makes itself.
            specs.append({"name": name, "path": name.removeprefix("unix:"), "mode": 0o666, "gid": router_account().gid, "backlog": BACKLOG})
        else:
            address, _, port = name.rpartition(":")
            specs.append({"name": name, "address": address.strip("[]"), "port": int(port), "backlog": BACKLOG})
    return specs


def sockets(settings: Settings) -> list[dict[str, object]]:
    """All listening sockets that outlive the parts behind them."""
    gid = router_account().gid
    wake = {"name": WAKE, "path": str(settings.paths.wake_socket), "mode": 0o660, "gid": gid, "backlog": BACKLOG}
    manager = {"name": MANAGER, "path": str(settings.paths.manager_socket), "mode": 0o666, "gid": gid, "backlog": BACKLOG}
    door = {"name": SSH, "address": settings.ssh_address, "port": settings.ssh_port, "backlog": DOOR_BACKLOG}
    return [wake, manager, *([door] if settings.ssh_port else []), *router_sockets(settings)]


def supervisor_argv(plan: Path) -> list[str]:
    """How the supervisor is started: without this program's packages, which it does not need."""
    script = str(ROOT / "src" / "sitewright" / "up" / "supervise.py")
    return [sys.executable, "-I", "-S", script, str(plan)]


def plan_path(settings: Settings) -> Path:
    """Where the plan is kept."""
    return notes_folder(settings.paths) / "plan.json"


def read_plan(settings: Settings) -> dict[str, Any]:
    """The plan of the platform that runs. Raises OSError, ValueError."""
    body: dict[str, Any] = json.loads(plan_path(settings).read_text())
    return body


def write_plan(settings: Settings, body: dict[str, object]) -> Path:
    """Store the plan (it holds the environment, so 0600) and return its path."""
    path = plan_path(settings)
    write_atomic(path, json.dumps(body).encode(), mode=0o600, durable=False)
    return path
