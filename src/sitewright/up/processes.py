"""The processes of one platform as a plan for the supervisor."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from sitewright.bus.server import nats_argv
from sitewright.config.settings import Settings
from sitewright.router import nginx_argv
from sitewright.system.accounts import Account, current_account, manager_account
from sitewright.system.files import write_atomic
from sitewright.up.leftovers import notes_folder
from sitewright.up.reach import ROOT, Program

PASSED_PREFIXES = ("SITEWRIGHT_", "PIP_", "UV_", "NPM_", "npm_config_")
PASSED = frozenset({"DATABASE_URL", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"}) | {
    *("GIT_SSL_CAINFO", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "TZ"),
}
STAGES = (["nginx", "manager"], ["node"], ["teardown"], ["nats"])
"""The order of stopping; what stands together is stopped together."""


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
        "stages": STAGES,
        "processes": [
            _spec("nats", moved(nats_argv(settings), program), bus_only, manager),
            # Instances and builds are not of the node's group: they outlive it.
            _spec("node", [*python, "-m", "sitewright.up.node"], own, me, group=False),
            _spec("manager", [*python, "-m", "sitewright.manager.serve"], managers, manager),
            _spec("nginx", moved(nginx_argv(settings), program), bus_only, me),
        ],
        "teardown": _spec("teardown", [*python, "-m", "sitewright.up.teardown"], own, me, stop_seconds=12.0, group=False),
    }


def write_plan(settings: Settings, body: dict[str, object]) -> Path:
    """Store the plan (it holds the environment, so 0600) and return its path."""
    path = notes_folder(settings.paths) / "plan.json"
    write_atomic(path, json.dumps(body).encode(), mode=0o600, durable=False)
    return path
