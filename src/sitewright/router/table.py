"""The routing table: folders and symlinks that nginx follows. A change is one rename.

On disk, below the run folder::

    r/<host>                 → ../c/<channel>            one symlink a host name
    c/<channel>              → .v/<channel>.<digest>     one symlink a channel; swapping it is the change
    c/<channel>              → .v/shared.<digest>        the same, where nothing in it is the channel's own: all that sleep, or are stopped
    c/.v/<channel>.<digest>/                             one prepared version, never modified (sitewright.router.version)

A version's name holds the digest of its contents, so comparing with what is there costs one readlink, and a writer that is killed anywhere
leaves the old version or the new one in use, plus at most an unused folder that the next writer removes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path

from sitewright.config.paths import Paths
from sitewright.domain.identity import is_id
from sitewright.domain.names import HostName
from sitewright.domain.route import ChannelRoute
from sitewright.errors import InvalidValueError
from sitewright.router.version import SHARED, build, version_name
from sitewright.system.clock import Clock, SystemClock

UNIX_PATH_BYTES = 107
"""Longest path of a unix socket (unix(7): 108 bytes with the final NUL)."""
RETIRED_SECONDS = 5.0
"""How long a version stays after it was replaced: nginx may be in the middle of following it."""


class RouteTable:
    """What the router serves, changed one channel at a time. Safe to call from several threads; one process may write."""

    def __init__(self, paths: Paths, clock: Clock | None = None) -> None:
        self._hosts_folder = paths.routes
        self._channels_folder = paths.route_targets
        self._versions = paths.route_targets / ".v"
        self._complete = paths.routes_complete
        self._sites = paths.sites
        self._fastcgi_socket = fastcgi_socket(paths)
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._retired: dict[str, float] = {}
        self._longest_host = UNIX_PATH_BYTES - len(os.fsencode(self._hosts_folder)) - len("//f15")
        self._owners: dict[str, str] = {}
        self._hosts: dict[str, set[str]] = {}
        for folder in (self._hosts_folder, self._channels_folder, self._versions):
            folder.mkdir(mode=0o711, parents=True, exist_ok=True)
            folder.chmod(0o711)
        self._read_back()

    def set(self, route: ChannelRoute) -> bool:
        """Make the table serve *route*; hosts that its channel no longer lists disappear, hosts of other channels move here.

        Returns whether anything had to change. Raises InvalidValueError for a route that cannot be served.
        """
        self._check(route)
        name = version_name(route)
        with self._lock:
            changed = self._point(route.channel_id, name, route)
            for host in route.hosts:
                if self._owners.get(host) != route.channel_id:
                    self._swap(self._hosts_folder / host, f"../c/{route.channel_id}")
                    self._own(host, route.channel_id)
                    changed = True
            for host in self.hosts(route.channel_id) - set(route.hosts):
                self._drop_host(host)
                changed = True
            self._collect()
        return changed

    def remove(self, channel_id: str) -> bool:
        """Stop serving a channel. Returns whether it was served."""
        if not is_id(channel_id):
            raise InvalidValueError(f"“{channel_id[:40]}” is not a channel id.")
        with self._lock:
            hosts = self.hosts(channel_id)
            for host in hosts:
                self._drop_host(host)
            current = self._current(channel_id)
            if current:
                (self._channels_folder / channel_id).unlink(missing_ok=True)
                self._retire(current)
            self._collect()
        return bool(hosts or current)

    def complete(self) -> None:
        """Note that everything is in the table: from now on a host that is not in it is unknown. It stays so until the run folder goes."""
        self._complete.touch(mode=0o644)

    def channels(self) -> frozenset[str]:
        """Ids of all channels that the table holds."""
        with os.scandir(self._channels_folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_symlink() and is_id(entry.name))

    def hosts(self, channel_id: str) -> frozenset[str]:
        """Host names that lead to a channel."""
        with self._lock:
            return frozenset(self._hosts.get(channel_id, ()))

    def _check(self, route: ChannelRoute) -> None:
        if not is_id(route.channel_id):
            raise InvalidValueError(f"“{route.channel_id[:40]}” is not a channel id.")
        for host in route.hosts:
            HostName(host)
            if len(host) > self._longest_host:
                raise InvalidValueError(
                    f"The host name “{host[:40]}…” is too long for this platform's run folder.",
                    resolution="Use a shorter host name, or set SITEWRIGHT_RUN to a shorter folder.",
                )
        for text in (route.fallback, route.fastcgi_root.removeprefix("/")):
            parts = text.split("/") if text else []
            if any(part in {"", ".", ".."} or len(os.fsencode(part)) > 200 or "\0" in part for part in parts):
                raise InvalidValueError(f"“{text[:80]}” is not a plain path.", resolution="Name a file below the public folder.")

    def _point(self, channel_id: str, name: str, route: ChannelRoute) -> bool:
        """Have c/<channel> lead to version *name*, which is built first when it is not there."""
        current = self._current(channel_id)
        there = os.path.isdir(f"{self._versions}/{name}")  # noqa: PTH112 - 20,000 times at a start: as cheap as can be
        if current == name and there:
            return False
        if not there:
            self._build(name, route)
        self._retired.pop(name, None)
        self._swap(self._channels_folder / channel_id, f".v/{name}")
        if current and current != name:
            self._retire(current)
        return True

    def _build(self, name: str, route: ChannelRoute) -> None:
        folder = self._versions / f".{name}.new"
        if os.path.lexists(folder):
            shutil.rmtree(folder, ignore_errors=True)
        build(folder, route, self._owner(route.public), self._fastcgi_socket)
        folder.rename(self._versions / name)

    def _owner(self, public: Path | None) -> int:
        """The uid of the site: of its own folder, which no site can touch, not of what is now where *public* says; -1 for none."""
        with contextlib.suppress(FileNotFoundError):
            if public is not None and public.is_relative_to(self._sites):
                return (self._sites / public.relative_to(self._sites).parts[0]).lstat().st_uid
            if public is not None:
                return public.lstat().st_uid
        return -1

    def _swap(self, link: Path, target: str) -> None:
        """Make *link*, or replace it in one rename; the half-made link lies among the versions, where no host name leads."""
        with contextlib.suppress(FileExistsError):
            link.symlink_to(target)
            return
        temporary = self._versions / f".{link.name}.link"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(link)

    def _drop_host(self, host: str) -> None:
        (self._hosts_folder / host).unlink(missing_ok=True)
        self._own(host, "")

    def _own(self, host: str, channel_id: str) -> None:
        """Note that *host* leads to the channel; "" for nowhere."""
        previous = self._owners.pop(host, "")
        if previous:
            self._hosts[previous].discard(host)
            if not self._hosts[previous]:
                del self._hosts[previous]
        if channel_id:
            self._owners[host] = channel_id
            self._hosts.setdefault(channel_id, set()).add(host)

    def _current(self, channel_id: str) -> str:
        try:
            return os.readlink(f"{self._channels_folder}/{channel_id}").rpartition("/")[2]  # noqa: PTH115
        except FileNotFoundError:
            return ""

    def _retire(self, name: str) -> None:
        if not name.startswith(SHARED):
            self._retired.pop(name, None)
            self._retired[name] = self._clock.steady()

    def _collect(self) -> None:
        """Remove versions that were replaced long enough ago."""
        while self._retired:
            name, since = next(iter(self._retired.items()))
            if self._clock.steady() - since < RETIRED_SECONDS:
                return
            del self._retired[name]
            self._discard(name)

    def _discard(self, name: str) -> None:
        """Rename first, so that no half-removed folder is ever taken for a whole version."""
        gone = self._versions / f".{name}.gone"
        with contextlib.suppress(FileNotFoundError):
            (self._versions / name).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def _read_back(self) -> None:
        """Learn what is on disk, and clear away what a killed writer left."""
        with os.scandir(self._hosts_folder) as entries:
            links = [entry.name for entry in entries if entry.is_symlink()]
        for host in links:
            self._own(host, os.readlink(f"{self._hosts_folder}/{host}").rpartition("/")[2])  # noqa: PTH115
        used = {self._current(channel_id) for channel_id in self.channels()}
        with os.scandir(self._versions) as entries:
            unused = [entry for entry in entries if entry.name not in used]
        for entry in unused:
            if entry.is_symlink():
                Path(entry.path).unlink(missing_ok=True)
            elif entry.name.startswith("."):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                self._retire(entry.name)


def fastcgi_socket(paths: Paths) -> Path:
    """Where nginx's own FastCGI server listens: to the public server a PHP site looks like any site that speaks HTTP."""
    return paths.run / "nginx" / "php.sock"
