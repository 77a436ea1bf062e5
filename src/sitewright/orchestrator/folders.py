"""A channel's folders: made with the right owner, deleted without following anything."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from sitewright.config.paths import Paths
from sitewright.system.accounts import is_root, router_account
from sitewright.system.processes import Runner, check

KEPT_RELEASES = 5
DELETE_TIMEOUT_SECONDS = 600.0


def make_folder(path: Path, uid: int, gid: int, mode: int = 0o750) -> None:
    """Make *path* with that owner and mode; one that is there stays as it is."""
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        return
    path.chmod(mode)
    if is_root():
        os.chown(path, uid, gid)


def prepare(paths: Paths, site_id: str, channel: str, uid: int) -> None:
    """Make the channel's folder and its data folder, owned by the tenant and open to the router's group only."""
    group = router_account().gid
    paths.sites.mkdir(parents=True, exist_ok=True, mode=0o711)
    folder = paths.channel(site_id, channel)
    for path in (paths.site(site_id), folder.parent, folder, paths.data(site_id, channel)):
        make_folder(path, uid, group)


async def delete(runner: Runner, folder: Path) -> None:
    """Delete a tenant's folder and all in it. rm opens each folder by descriptor, follows no link and leaves other file systems alone."""
    if folder.exists() or folder.is_symlink():
        await check(runner, ["rm", "-rf", "--one-file-system", "--", str(folder)], timeout=DELETE_TIMEOUT_SECONDS)


def old_releases(releases: Path, in_use: frozenset[Path]) -> tuple[Path, ...]:
    """Release folders that may go: all but the newest few and those in use."""
    found = []
    with contextlib.suppress(OSError), os.scandir(releases) as entries:
        found = [int(entry.name) for entry in entries if entry.name.isdigit() and entry.is_dir(follow_symlinks=False)]
    candidates = [releases / str(number) for number in sorted(found)[:-KEPT_RELEASES]]
    return tuple(path for path in candidates if path not in in_use)
