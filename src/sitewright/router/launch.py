"""Everything around nginx that touches the disk: its folders, its configuration file and pages, its command line."""

from __future__ import annotations

import os
import re
import resource
import sys
from importlib import resources
from pathlib import Path

import sitewright
from sitewright.commands.nginx import check_argv, run_argv
from sitewright.config.settings import Settings
from sitewright.errors import PreflightError
from sitewright.router import start
from sitewright.router.binary import find_nginx
from sitewright.router.pages import PAGES, html, problem
from sitewright.router.render import RouterConfig, render_config
from sitewright.router.table import fastcgi_socket
from sitewright.system.accounts import is_root, router_account
from sitewright.system.files import write_atomic
from sitewright.system.processes import run_blocking

MOST_WORKERS = 2
MOST_OPEN_FILES = 16384
LOGS = ("access.log", "nginx-error.log")


def router_config(settings: Settings) -> RouterConfig:
    """What nginx's configuration depends on, on this machine."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    open_files = MOST_OPEN_FILES if limit == resource.RLIM_INFINITY else min(limit, MOST_OPEN_FILES)
    return RouterConfig(
        run=settings.paths.run,
        home=settings.home,
        address=settings.http_address,
        port=settings.http_port,
        domain=settings.domain,
        manager_host=settings.manager_host,
        behind_tls=settings.behind_tls,
        manager_files=Path(sitewright.__file__).parent / "manager",
        user=router_account().name if is_root() else "",
        workers=max(1, min(MOST_WORKERS, len(os.sched_getaffinity(0)))),
        open_files=open_files,
        connections=open_files // 2,
    )


def render(settings: Settings) -> str:
    """The configuration file's text for this machine."""
    return render_config(router_config(settings))


def prepare_folders(settings: Settings) -> None:
    """Make what nginx needs before each start; what is there stays, the routes above all. Safe to call again at any time."""
    config = router_config(settings)
    paths = settings.paths
    config.run.mkdir(mode=0o711, parents=True, exist_ok=True)
    for folder in (config.folder, config.folder / "pages", config.temporary, paths.logs, paths.routes, paths.route_targets):
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    for folder in (config.run, config.home, config.folder / "pages", paths.logs):
        _let_enter(folder)
    for folder in (config.folder, config.temporary):
        _for_workers_only(folder)
    for name in LOGS:
        _for_nobody_else(paths.logs / name)


def write_config(settings: Settings) -> Path:
    """Write configuration and pages, each in one rename; returns the configuration's path. Folders must be there."""
    folder = router_config(settings).folder
    layout = resources.files("sitewright.router").joinpath("pages", "layout.html").read_text(encoding="utf-8")
    for page in PAGES:
        write_atomic(folder / "pages" / f"{page.name}.html", html(page, layout).encode(), durable=False)
        write_atomic(folder / "pages" / f"{page.name}.json", problem(page).encode(), durable=False)
    script = resources.files("sitewright.router.rules").joinpath("pages.js").read_bytes()
    write_atomic(folder / "pages.js", script, durable=False)
    config = folder / "nginx.conf"
    write_atomic(config, render(settings).encode(), durable=False)
    return config


def listen_addresses(settings: Settings) -> list[str]:
    """Everything that nginx listens on: `127.0.0.1:8000`, `[::1]:8000` or `unix:/path`, each once, in the order of the configuration."""
    return list(dict.fromkeys(re.findall(r"^\s*listen\s+([^\s;]+)", render(settings), re.MULTILINE)))


def nginx_argv(settings: Settings) -> list[str]:
    """Run nginx in the foreground, as leader of a process group: a killed master leaves workers that hold the port. TERM ends it at once,
    QUIT after the requests under way. Raises PreflightError when there is no nginx."""
    folder = router_config(settings).folder
    nginx = run_argv(find_nginx(), folder / "nginx.conf", folder)
    return [sys.executable, "-I", "-S", start.__file__, str(fastcgi_socket(settings.paths)), *nginx]


def test_config(settings: Settings) -> None:
    """Have nginx check the configuration. Raises PreflightError with its words."""
    folder = router_config(settings).folder
    done = run_blocking(check_argv(find_nginx(), folder / "nginx.conf", folder), timeout=30)
    if not done.ok:
        raise PreflightError(
            "nginx does not accept its configuration.",
            details=done.errors.decode(errors="replace").strip()[-2000:],
            resolution="Is the port taken, or does another user own the data folder? Correct that and start again.",
        )


def _for_nobody_else(log: Path) -> None:
    """The log and the one before it. Made here: nginx lets everybody read what it makes while it checks its configuration."""
    log.touch(mode=0o640)
    for one in (log, log.with_name(f"{log.name}.1")):
        if one.exists():
            one.chmod(0o640)


def _for_workers_only(folder: Path) -> None:
    """No other user of this machine: php.sock believes whoever connects."""
    if is_root():
        os.chown(folder, -1, router_account().gid)
    folder.chmod(0o710)


def _let_enter(folder: Path) -> None:
    """Workers are another user: they may pass through, not list."""
    mode = folder.stat().st_mode
    if mode & 0o011 != 0o011:
        folder.chmod((mode & 0o7777) | 0o011)
