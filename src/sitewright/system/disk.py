"""How much of a disk a folder or a user takes: what is allocated, not what files claim, and also what has no name any more."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections import defaultdict
from pathlib import Path

BLOCK_BYTES = 512
"""Of st_blocks (stat(2)), whatever the file system."""
FILE_BYTES = 4096
"""What an empty file counts as: inodes are used up as well."""


def occupied(folder: Path, most: int) -> int:
    """Bytes that everything below *folder* takes; counting ends once it is more than *most*. Follows no link. Blocking.

    Folders nested so deep that no path reaches them count as more than *most*: nobody needs them, except to hide something.
    """
    total = 0
    waiting = [os.fspath(folder)]
    while waiting and total <= most:
        path = waiting.pop()
        try:
            total += _occupied_by_files(path, most - total, waiting)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return most + 1
    return total


def _occupied_by_files(path: str, most: int, waiting: list[str]) -> int:
    total = 0
    with os.scandir(path) as entries:
        for entry in entries:
            try:
                total += max(entry.stat(follow_symlinks=False).st_blocks * BLOCK_BYTES, FILE_BYTES)
            except FileNotFoundError:
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            if total > most:
                break
    return total


def nameless(device: int) -> dict[int, int]:
    """Bytes by uid of files on *device* that were deleted while a process of that uid still holds them open. Blocking; needs root for
    other users' processes."""
    found: dict[int, int] = defaultdict(int)
    seen: set[int] = set()
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            uid = process.stat().st_uid
            for entry in os.scandir(process / "fd"):
                with contextlib.suppress(OSError):
                    info = entry.stat()
                    if stat.S_ISREG(info.st_mode) and not info.st_nlink and info.st_dev == device and info.st_ino not in seen:
                        seen.add(info.st_ino)
                        found[uid] += info.st_blocks * BLOCK_BYTES
    return found


def used(folder: Path) -> tuple[int, int]:
    """Bytes and files in use on the disk that holds *folder*."""
    info = os.statvfs(folder)
    return (info.f_blocks - info.f_bfree) * info.f_frsize, info.f_files - info.f_ffree
