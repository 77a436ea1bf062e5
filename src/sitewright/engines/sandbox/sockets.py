"""The sockets between router and instance: made by the engine, or checked by it when the app makes its own."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
from pathlib import Path

from sitewright.domain.processes import Listen
from sitewright.engines.sandbox.record import Folder

_BACKLOG = 1024
_CREDENTIALS = struct.Struct("3i")


def make_listener(path: Path, group: int) -> socket.socket:
    """A listening unix socket at *path* that members of *group* may connect to. Raises OSError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        listener.bind(str(path))
        path.chmod(0o660)
        if os.geteuid() == 0:
            os.chown(path, 0, group)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def publish(folder: Folder, uid: int, group: int) -> bool:
    """Make the app's own socket reachable for the router, once it is there; whether it is.

    The app decides what lies in its folder, a symlink to somebody else's socket included. So the engine never hands out that path: it
    links the very socket into a folder of its own, looks at what it got, and opens it to the router's group.
    """
    made = folder.guest / "web.sock"
    shown = folder.guest_root / "s"
    try:
        found = made.lstat()
    except OSError:
        return False
    if not stat.S_ISSOCK(found.st_mode):
        return False
    with contextlib.suppress(OSError):
        if shown.lstat().st_ino == found.st_ino:
            return True
    waiting = folder.guest_root / "s.new"
    try:
        with contextlib.suppress(FileNotFoundError):
            waiting.unlink()
        os.link(made, waiting, follow_symlinks=False)
        linked = waiting.lstat()
        if not stat.S_ISSOCK(linked.st_mode) or linked.st_uid != uid:
            waiting.unlink()
            return False
        if os.geteuid() == 0:
            os.chown(waiting, uid, group)
        waiting.chmod(0o660)
        waiting.replace(shown)
    except OSError:
        return False
    return True


def taken_by(listener: socket.socket, uid: int) -> bool:
    """Whether somebody who runs as *uid* has called listen(2) on it last, so that it is accepted from (unix(7), SO_PEERCRED)."""
    return _listens_as(listener) == uid


def answers_as(path: Path, uid: int) -> bool:
    """Likewise without the listening socket at hand: a connection carries who had called listen(2). False when nobody listens; a
    full backlog counts as yes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True
        except OSError:
            return False
        return _listens_as(probe) == uid


def _listens_as(end: socket.socket) -> int:
    _pid, uid, _gid = _CREDENTIALS.unpack(end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(uid)


def accepts(path: Path) -> bool:
    """Whether somebody accepts connections at *path*; a full backlog counts as yes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True
        except OSError:
            return False
    return True


def makes_own(listen: Listen) -> bool:
    """Whether the app makes the socket itself."""
    return listen in {Listen.SOCKET, Listen.FASTCGI}


def made_by_engine(listen: Listen) -> bool:
    """Whether the engine makes the listening socket."""
    return listen in {Listen.FD, Listen.PORT}
