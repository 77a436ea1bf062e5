"""Small file systems in memory: what a tenant may write to on the host's side is bounded in bytes and in files."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_NOSUID_NODEV_NOEXEC = 2 | 4 | 8
_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def mount(folder: Path, size: int, files: int) -> None:
    """A new tmpfs at *folder*. Raises OSError. As an ordinary user nothing is mounted."""
    if os.geteuid() != 0:
        return
    options = f"size={size},nr_inodes={files},mode=0711".encode()
    if _libc.mount(b"sitewright", os.fsencode(folder), b"tmpfs", _NOSUID_NODEV_NOEXEC, options) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(folder))


def unmount(folder: Path) -> None:
    """Take it away; nothing happens when none is there."""
    if os.geteuid() == 0:
        _libc.umount2(os.fsencode(folder), _DETACH)
