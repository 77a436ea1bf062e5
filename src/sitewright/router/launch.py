"""Everything around nginx that touches the disk: its folders, its configuration file, its command line, its logs, its orphans."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from importlib import resources
from pathlib import Path

from sitewright.commands.nginx import check_argv, run_argv
from sitewright.config.settings import Settings
from sitewright.errors import PreflightError
from sitewright.router.binary import find_nginx
from sitewright.router.pages import PAGES, html, problem
from sitewright.router.render import RouterConfig, render_config
from sitewright.system.accounts import is_root, router_account
from sitewright.system.files import write_atomic
from sitewright.system.processes import run_blocking

MOST_WORKERS = 2
MOST_OPEN_FILES = 16384
LOG_BYTES = 32 * 1024 * 1024
LOGS_KEPT = 3


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
    for folder in (config.run, config.home, config.folder, config.folder / "pages", config.temporary, paths.logs):
        _let_enter(folder)
    if not master_pid(settings):
        (config.folder / "php.sock").unlink(missing_ok=True)


def write_config(settings: Settings) -> Path:
    """Write configuration and pages, each in one rename; returns the configuration's path. Folders must be there."""
    folder = router_config(settings).folder
    layout = resources.files("sitewright.router").joinpath("pages", "layout.html").read_text(encoding="utf-8")
    for page in PAGES:
        write_atomic(folder / "pages" / f"{page.name}.html", html(page, layout).encode(), durable=False)
        write_atomic(folder / "pages" / f"{page.name}.json", problem(page).encode(), durable=False)
    config = folder / "nginx.conf"
    write_atomic(config, render(settings).encode(), durable=False)
    return config


def nginx_argv(settings: Settings) -> list[str]:
    """Run nginx in the foreground. Start it as leader of a session of its own, so that ``end_orphans`` can tell its workers later; TERM
    ends it at once, QUIT after the requests under way. Raises PreflightError when there is no nginx."""
    folder = router_config(settings).folder
    return run_argv(find_nginx(), folder / "nginx.conf", folder)


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


def master_pid(settings: Settings) -> int:
    """The running master's process id, 0 when there is none."""
    pid = _noted_pid(settings)
    return pid if pid and _is_nginx(pid) else 0


def reopen_logs(settings: Settings) -> None:
    """Have nginx open its log files by name again (USR1); nothing happens when it does not run."""
    pid = master_pid(settings)
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGUSR1)


def rotate_logs(settings: Settings, most_bytes: int = LOG_BYTES, kept: int = LOGS_KEPT) -> bool:
    """Set aside each of nginx's logs that has grown past *most_bytes* (access.log → access.log.1 → …), keeping the last *kept*.

    Returns whether any was. Call it every minute or so.
    """
    rotated = False
    for name in ("access.log", "nginx-error.log"):
        log = settings.paths.logs / name
        with contextlib.suppress(FileNotFoundError):
            if log.stat().st_size <= most_bytes:
                continue
            for number in range(kept - 1, 0, -1):
                with contextlib.suppress(FileNotFoundError):
                    log.with_name(f"{name}.{number}").replace(log.with_name(f"{name}.{number + 1}"))
            log.replace(log.with_name(f"{name}.1"))
            rotated = True
    if rotated:
        reopen_logs(settings)
    return rotated


def end_orphans(settings: Settings) -> int:
    """Ask workers whose master was killed to finish (QUIT): they hold the port. Returns how many there were.

    They are told by their session, which bears the dead master's number: the kernel gives that number to nobody while one of them lives.
    """
    master = _noted_pid(settings)
    if not master or _is_nginx(master):
        return 0
    orphans = [pid for pid in _processes() if _session(pid) == master and _is_nginx(pid)]
    for pid in orphans:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT)
    return len(orphans)


def _let_enter(folder: Path) -> None:
    """Workers are another user: they may pass through, not list."""
    mode = folder.stat().st_mode
    if mode & 0o011 != 0o011:
        folder.chmod((mode & 0o7777) | 0o011)


def _noted_pid(settings: Settings) -> int:
    try:
        return int((router_config(settings).folder / "nginx.pid").read_text())
    except (FileNotFoundError, ValueError):
        return 0


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _stat(pid: int) -> list[str]:
    """/proc/<pid>/stat (proc(5)): name first, then state, parent, group, session …; empty for a process that is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    name, _, rest = text.partition(" (")[2].rpartition(") ")
    fields = rest.split()
    return [] if fields[0] == "Z" else [name, *fields]


def _is_nginx(pid: int) -> bool:
    return _stat(pid)[:1] == ["nginx"]


def _session(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[4]) if fields else 0
