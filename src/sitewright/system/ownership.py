"""Making the folders of sites with the owners and modes that keep tenants apart.

As root, a site's folders belong to its uid and to the router's group, mode 0750: the site's sandbox and nginx may enter, another site may
not. As an ordinary user everything is that user's, and the modes are the same.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from sitewright.system.accounts import is_root, router_account

PASSABLE = 0o711
"""Anybody who knows a name may go through; nobody may list."""
SITE = 0o750


class SitePaths(Protocol):
    """What of sitewright.config.paths.Paths is needed here."""

    @property
    def home(self) -> Path: ...
    @property
    def sites(self) -> Path: ...
    def site(self, site_id: str) -> Path: ...
    def channel(self, site_id: str, channel: str) -> Path: ...
    def live_folder(self, site_id: str, channel: str) -> Path: ...
    def data(self, site_id: str, channel: str) -> Path: ...
    def channel_logs(self, site_id: str, channel: str) -> Path: ...


def make_folder(path: Path, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Make *path* (its parents too) if it is missing, and give it mode and, as root, owner (uid, gid). Refuses a symbolic link."""
    path.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if owner is not None and is_root():
            os.fchown(descriptor, *owner)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def site_owner(uid: int) -> tuple[int, int]:
    """Owner and group of everything that is a site's and that nginx may have to read."""
    return uid, router_account().gid


def make_site_folders(paths: SitePaths, site_id: str, channel: str, uid: int) -> None:
    """The site's and the channel's folders: live folder, data, releases and logs. Safe to call each time."""
    make_folder(paths.home, PASSABLE)
    make_folder(paths.sites, PASSABLE)
    owner = site_owner(uid)
    top = paths.channel(site_id, channel)
    for folder in (
        paths.site(site_id),
        top.parent,
        top,
        paths.live_folder(site_id, channel),
        paths.data(site_id, channel),
        top / "releases",
    ):
        make_folder(folder, SITE, owner)
    make_folder(paths.channel_logs(site_id, channel), 0o700)


def give_tree(top: Path, uid: int, gid: int) -> None:
    """Hand a whole tree over, links themselves included. For trees that no tenant has been able to change: it walks by name."""
    if not is_root():
        return
    for folder, _, names, descriptor in os.fwalk(top, follow_symlinks=False):
        os.chown(folder, uid, gid, follow_symlinks=False)
        for name in names:
            os.chown(name, uid, gid, dir_fd=descriptor, follow_symlinks=False)
