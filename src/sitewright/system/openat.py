"""Opening files of a tenant: beneath a folder of theirs, as their uid, whatever links they have laid.

Two locks, each enough alone: openat2(2) with RESOLVE_BENEATH lets no path, `..` or link lead out of the folder, and the file system uid of
the thread (setfsuid(2)) is the tenant's, so that the kernel allows what the tenant may do and no more.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sitewright.system.accounts import is_root

T = TypeVar("T")

_SYS_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_BENEATH = 0x08

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_beneath(folder: int, path: str, flags: int, mode: int = 0) -> int:
    """A descriptor of *path* below the open *folder*; "" is the folder itself. The caller closes it.

    Raises OSError as open(2) does; EXDEV when the path would lead out, ENOSYS before Linux 5.6.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, mode, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    name = os.fsencode(path or ".")
    if b"\0" in name:
        raise ValueError("a path cannot hold a zero byte")
    result = _libc.syscall(_SYS_OPENAT2, folder, name, ctypes.byref(how), ctypes.sizeof(how))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    return int(result)


def _with_fsuid(uid: int, work: Callable[[], T]) -> T:
    """Run *work* with the file system uid and gid of *uid*. Both belong to this thread alone (setfsuid(2))."""
    if not is_root():
        return work()
    old_gid = _libc.setfsgid(uid)
    old_uid = _libc.setfsuid(uid)
    try:
        if _libc.setfsuid(-1) != uid or _libc.setfsgid(-1) != uid:
            raise PermissionError("could not become the tenant")
        return work()
    finally:
        _libc.setfsuid(old_uid)
        _libc.setfsgid(old_gid)


class TenantThread:
    """One thread for work on tenants' files: a slow disk holds up other files, never the loop."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tenant-files")

    def executor(self) -> ThreadPoolExecutor:
        """For ``loop.run_in_executor`` with ``as_tenant``."""
        return self._pool

    def close(self) -> None:
        """End it once it is idle."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def as_tenant(uid: int, work: Callable[[], T]) -> Callable[[], T]:
    """*work*, to be called in a thread of ``TenantThread``, as the tenant."""
    return lambda: _with_fsuid(uid, work)
