"""What must be there before anything starts: system packages, accounts, folders with the right owners and modes."""

from __future__ import annotations

import compileall
import os
import pwd
from pathlib import Path

from sitewright.config.paths import Paths
from sitewright.system.accounts import MANAGER_USER, ROUTER_USER, Account, current_account, is_root, manager_account
from sitewright.system.processes import CommandFailedError, check_blocking
from sitewright.up.leftovers import notes_folder

INSTALL_SECONDS = 600.0


def install_packages(packages: tuple[str, ...]) -> None:
    """One apt-get call; the list of packages is fetched only when the first try fails. Raises CommandFailedError."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    argv = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    try:
        check_blocking(argv, env=env, timeout=INSTALL_SECONDS)
    except CommandFailedError:
        check_blocking(["apt-get", "update", "-q"], env=env, timeout=INSTALL_SECONDS)
        check_blocking(argv, env=env, timeout=INSTALL_SECONDS)


def useradd_argv(name: str) -> list[str]:
    """A system user with a group of its own, without a home or a shell."""
    return ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", name]


def ensure_accounts() -> None:
    """As root: the users of manager and router. Raises CommandFailedError."""
    if not is_root():
        return
    for name in (MANAGER_USER, ROUTER_USER):
        try:
            pwd.getpwnam(name)
        except KeyError:
            check_blocking(useradd_argv(name))


def _folder(path: Path, mode: int, owner: Account, group: int | None = None) -> None:
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    if is_root():
        os.chown(path, owner.uid, owner.gid if group is None else group, follow_symlinks=False)


def ensure_folders(paths: Paths) -> None:
    """The folders that no single part owns; see docs/reference/disk.md for the table."""
    me, manager = current_account(), manager_account()
    passable, private = 0o711, 0o700
    for path, mode, owner, group in (
        (paths.home, passable, me, None),
        (paths.secrets, private, me, None),
        (paths.logs, 0o750, me, None),
        (paths.database.parent, private, manager, None),
        (paths.uploads, 0o750, manager, None),
        (paths.droplets, passable, me, None),
        (paths.node, private, me, None),
        (paths.desired, private, me, None),
        (paths.builds, passable, me, None),
        (paths.caches, passable, me, None),
        (paths.sites, passable, me, None),
        # The manager makes its own socket here; the sticky bit keeps it from touching anybody else's files.
        (paths.run, 0o1775, me, manager.gid),
        (notes_folder(paths), 0o755, me, None),
        (paths.instances, passable, me, None),
    ):
        _folder(path, mode, owner, group)


def compile_source(source: Path) -> None:
    """Write the compiled files of this program where they are missing or old: the manager's user may not."""
    compileall.compile_dir(source, quiet=2)


def give_manager_its_files(paths: Paths) -> None:
    """After a setup that ran as root: everything in the manager's folder belongs to the manager."""
    if not is_root():
        return
    account = manager_account()
    for folder, _, names in os.walk(paths.database.parent):
        for name in (".", *names):
            os.chown(Path(folder) / name, account.uid, account.gid, follow_symlinks=False)
