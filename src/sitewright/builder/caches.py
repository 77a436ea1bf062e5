"""What one site's builds keep from one to the next: <caches>/<site>/build, and a folder of its own for each channel of foreign code.

The folders are the tenant's to write, so nothing in them is believed or followed here: names and sizes are read, and things are deleted.
No other site's sandbox ever sees them, so whatever a build puts there can only mislead builds of its own site; and as code from outside of
the team (the preview of a fork) gets another folder, it misleads nobody but itself.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from sitewright.system.disk import BLOCK_BYTES, occupied
from sitewright.system.files import remove_tree

SHELF = "dependencies"
"""Where installed dependencies are kept, one archive a fingerprint: each of them can go alone."""
OWN = "build"
FOREIGN_PREFIX = "foreign-"
UNCOUNTED = 1 << 50
_DEEP = 3


@dataclass(frozen=True, slots=True)
class Item:
    """Something that can go: its kind, bytes, and when it was last used (seconds since the epoch)."""

    kind: str
    path: Path
    size: int
    used_at: float


def folder_of(site_cache: Path, channel: str, *, foreign: bool) -> Path:
    """The folder that a build sees as /cache."""
    return site_cache / (f"{FOREIGN_PREFIX}{channel}" if foreign else OWN)


def items(site_cache: Path) -> list[Item]:
    """All that is kept for a site. Blocking: as long as counting its files takes."""
    found: list[Item] = []
    with contextlib.suppress(OSError):
        for above in (Path(entry.path) for entry in os.scandir(site_cache) if entry.is_dir(follow_symlinks=False)):
            for entry in os.scandir(above):
                path = Path(entry.path)
                if entry.name == SHELF and entry.is_dir(follow_symlinks=False):
                    found += _archives(path)
                else:
                    found.append(Item(entry.name[:60], path, occupied_by(path), _last_used(path)))
    return found


def occupied_by(path: Path) -> int:
    """Bytes of a file or folder."""
    info = path.lstat()
    return info.st_blocks * BLOCK_BYTES + (occupied(path, UNCOUNTED) if stat.S_ISDIR(info.st_mode) else 0)


def _archives(shelf: Path) -> list[Item]:
    with contextlib.suppress(OSError):
        # Each entry is looked at without following it; a folder in the place of an archive counts, and goes, as a whole.
        return [Item(SHELF, Path(entry.path), occupied_by(Path(entry.path)), _last_used(Path(entry.path))) for entry in os.scandir(shelf)]
    return []


def _last_used(path: Path, depth: int = _DEEP) -> float:
    """The newest change of the first folders in it: package managers write there whenever they are used."""
    info = path.lstat()
    newest = info.st_mtime
    if depth and stat.S_ISDIR(info.st_mode):
        with contextlib.suppress(OSError):
            newest = max([newest, *(_last_used(Path(entry.path), depth - 1) for entry in os.scandir(path))])
    return newest


def by_kind(found: list[Item]) -> dict[str, int]:
    """Bytes of each kind."""
    total: dict[str, int] = {}
    for item in found:
        total[item.kind] = total.get(item.kind, 0) + item.size
    return total


def excess(found: list[Item], limit: int) -> list[Item]:
    """What has to go so that the rest fits, last used longest ago first. Pure."""
    over = sum(item.size for item in found) - limit
    going: list[Item] = []
    for item in sorted(found, key=lambda each: each.used_at):
        if over <= 0:
            break
        going.append(item)
        over -= item.size
    return going


def trim(site_cache: Path, limit: int) -> int:
    """Delete what is too much; the number of things that went. No build of the site may be running. Blocking."""
    going = excess(items(site_cache), limit)
    for item in going:
        _delete(item.path)
    return len(going)


def clear(site_cache: Path) -> None:
    """Delete all of it. No build of the site may be running. Blocking."""
    for item in items(site_cache):
        _delete(item.path)


def _delete(path: Path) -> None:
    with contextlib.suppress(OSError):
        if stat.S_ISDIR(path.lstat().st_mode):
            remove_tree(path)
        else:
            path.unlink()


def kept_archives(cache: Path) -> frozenset[str]:
    """Fingerprints of the dependencies that are kept."""
    with contextlib.suppress(OSError), _Shelf(cache) as shelf:
        return frozenset(name.removesuffix(".tar") for name in os.listdir(shelf) if name.endswith(".tar"))  # noqa: PTH208 - a descriptor
    return frozenset()


def note_use(cache: Path, fingerprint: str) -> None:
    """Dependencies were taken from the cache: they are the last to go."""
    with contextlib.suppress(OSError), _Shelf(cache) as shelf:
        os.utime(f"{fingerprint}.tar", dir_fd=shelf, follow_symlinks=False)


class _Shelf:
    """The folder of archives as a descriptor, not a path: it is the tenant's own to replace. Raises OSError."""

    def __init__(self, cache: Path) -> None:
        self._path = cache / SHELF
        self._descriptor = -1

    def __enter__(self) -> int:
        self._descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
