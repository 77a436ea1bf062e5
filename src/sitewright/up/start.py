"""`sitewright up`: look, prepare, start, present; then this process becomes the light supervisor."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from urllib.parse import urlsplit

from sitewright.bus.server import ensure_credentials, write_config
from sitewright.config.settings import Settings
from sitewright.errors import PreflightError, SitewrightError
from sitewright.router import prepare_folders
from sitewright.router import write_config as write_router_config
from sitewright.ssh.host_keys import ensure_host_key
from sitewright.system import priority
from sitewright.system.accounts import is_root
from sitewright.system.files import write_atomic
from sitewright.system.processes import CommandFailedError, check_blocking
from sitewright.up import prepare
from sitewright.up.health import connect_address
from sitewright.up.leftovers import end_leftovers, lock_holder, parts, take_lock
from sitewright.up.preflight import blocking, check
from sitewright.up.present import present
from sitewright.up.processes import part_environment, plan, supervisor_argv, write_plan
from sitewright.up.reach import ROOT, reachable_program, unbind
from sitewright.up.screen import Screen
from sitewright.up.survey import Facts, survey, with_its_door

SETUP_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Options:
    """What `up` was told beyond the settings."""

    sample: bool = True


def look(settings: Settings, screen: Screen) -> None:
    """Check this machine; as root install missing system packages. Raises PreflightError after having said everything that is wrong."""
    facts = survey(settings)
    if facts.missing and facts.can_install and not blocking(check(facts)):
        with screen.step(f"Installing system packages: {', '.join(facts.missing)}"):
            _install(facts)
        facts = survey(settings)
    findings = check(facts)
    for finding in findings:
        screen.finding(finding)
    stops = blocking(findings)
    if stops:
        raise PreflightError(
            "The platform was not started; nothing was changed.",
            details=f"{len(stops)} thing{'s' * (len(stops) > 1)} to put right, see above.",
        )


def _install(facts: Facts) -> None:
    """Raises CommandFailedError when something is missing then without which it does not start."""
    try:
        prepare.install_packages(facts.missing)
    except CommandFailedError:
        if set(facts.missing) - facts.spared:
            raise


def take_over(settings: Settings, screen: Screen) -> None:
    """End what a killed supervisor left running; its sites start again with this one."""
    if not any(part.alive for part in parts(settings.paths)) or lock_holder(settings.paths):
        return
    lock = take_lock(settings.paths)
    try:
        with screen.step("Ending what an earlier, killed `sitewright up` left running"):
            end_leftovers(settings.paths)
    finally:
        os.close(lock)


def manager_setup(settings: Settings) -> str:
    """Migrate, make keys, first admin and token; the path of the one-time sign-in link ("" when there is none any more)."""
    env = part_environment(settings, os.environ, str(ROOT / "src"))
    env |= {"HOME": str(settings.paths.database.parent)}
    output = check_blocking([sys.executable, "-P", "-m", "sitewright.manager.setup"], env=env, timeout=SETUP_SECONDS)
    prepare.give_manager_its_files(settings.paths)
    for line in reversed(output.decode(errors="replace").splitlines()):
        try:
            return str(json.loads(line).get("sign_in_url") or "")
        except (ValueError, AttributeError):
            continue
    return ""


def prepare_all(settings: Settings, screen: Screen, *, running: bool = False) -> str:
    """Everything on disk that the parts need; the path of the sign-in link. *running*: of a platform whose parts run meanwhile."""
    paths = settings.paths
    with screen.step("Preparing folders and credentials"):
        prepare.ensure_accounts()
        prepare.ensure_folders(paths)
        ensure_credentials(paths, settings.node)
        ensure_host_key(paths)
        write_config(settings, keep_port=running)
        prepare_folders(settings)
        write_router_config(settings)
        # On this machine the router itself is asked, which speaks plain HTTP whatever is in front of it.
        address = f"http://{urlsplit(settings.url(settings.manager_host)).netloc}\n{connect_address(settings)}:{settings.http_port}\n"
        write_atomic(paths.address_file, address.encode())
        prepare.compile_source(ROOT / "src")
    with screen.step("Preparing the database"):
        return manager_setup(settings)


def become_supervisor(settings: Settings, lock: int, options: Options, sign_in_path: str) -> None:
    """Leave the showing to a child process and become the supervisor: the process that the terminal knows stays, and stays small."""
    program = reachable_program(settings.paths)
    # What this process starts from here on inherits its place before all sites.
    groups = [str(folder) for folder in priority.join(settings.paths.tag)]
    body = plan(settings, program, lock=lock) | {"groups": groups}
    sys.stdout.flush()
    presenter = os.fork()
    if presenter == 0:
        os.close(lock)
        os._exit(present(settings, sample=options.sample, sign_in_path=sign_in_path))
    plan_file = write_plan(settings, {**body, "presenter": presenter})
    os.set_inheritable(lock, True)
    argv = supervisor_argv(plan_file)
    os.execv(argv[0], argv)  # noqa: S606


def up(settings: Settings, options: Options) -> None:
    """Start the platform and stay. Returns only by raising: PreflightError when the machine is not ready, SitewrightError otherwise."""
    screen = Screen()
    screen.line(f"Sitewright on {settings.url(settings.manager_host)}, data in {settings.home}")
    os.umask(0o022)
    take_over(settings, screen)
    look(settings, screen)
    settings = with_its_door(settings)
    new_home = not settings.home.exists()
    settings.home.mkdir(parents=True, exist_ok=True)
    lock = take_lock(settings.paths)
    try:
        sign_in_path = prepare_all(settings, screen)
        become_supervisor(settings, lock, options, sign_in_path)
    except (SitewrightError, OSError, KeyboardInterrupt):
        _leave_nothing(settings, new_home=new_home)
        raise


def _leave_nothing(settings: Settings, *, new_home: bool) -> None:
    if is_root():
        unbind(settings.paths)
    if new_home:
        settings.paths.address_file.unlink(missing_ok=True)
