"""A channel's folders: which may go, and deleting them without following anything."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from sitewright.config.settings import Settings
from sitewright.domain.desired import DesiredChannel
from sitewright.domain.release import KEPT_RELEASES
from sitewright.system.accounts import tenant_uid
from sitewright.system.ownership import make_site_folders
from sitewright.system.processes import Runner, check

DELETE_TIMEOUT_SECONDS = 600.0


async def delete(runner: Runner, folder: Path) -> None:
    """Delete a tenant's folder and all in it. rm opens each folder by descriptor, follows no link and leaves other file systems alone."""
    if folder.exists() or folder.is_symlink():
        await check(runner, ["rm", "-rf", "--one-file-system", "--", str(folder)], timeout=DELETE_TIMEOUT_SECONDS)


def make_folders(settings: Settings, desired: DesiredChannel) -> None:
    """The channel's folders, and those of the channel whose data it shares. Safe to call each time."""
    uid = tenant_uid(settings.uid_base, desired.number)
    for channel in {desired.channel, desired.data_channel or desired.channel}:
        make_site_folders(settings.paths, desired.site_id, channel, uid)


def old_releases(releases: Path, in_use: frozenset[Path]) -> tuple[Path, ...]:
    """Release folders that may go: all but the newest few and those in use."""
    found = []
    with contextlib.suppress(OSError), os.scandir(releases) as entries:
        found = [int(entry.name) for entry in entries if entry.name.isdigit() and entry.is_dir(follow_symlinks=False)]
    candidates = [releases / str(number) for number in sorted(found)[:-KEPT_RELEASES]]
    return tuple(path for path in candidates if path not in in_use)
