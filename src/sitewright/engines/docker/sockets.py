"""The socket that the router connects to, whoever made it.

``<run>/i/<id>/s`` belongs to the engine and is never inside the container. What is, is ``<run>/i/<id>/in``: there the launcher (FD, PORT)
or the app itself (SOCKET, FASTCGI) makes a socket, which the engine then links to ``s``. A hard link to the very socket, not a symlink: a
tenant who puts a symlink there would steer the router to any socket that it may open.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import stat
from pathlib import Path

from sitewright.engines.base import SOCKET_PATH, InstanceSpec
from sitewright.engines.docker.boxes import LAUNCHED
from sitewright.errors import EngineError
from sitewright.system.accounts import is_root, router_account

OPEN_MODE = 0o666
APP_SOCKET = Path(SOCKET_PATH).name
MAX_PATH = 107
LISTENING = "0A"
REACHABLE = frozenset({"00000000", "0100007F", "0" * 32, "0000000000000000FFFF00000100007F"})
"""0.0.0.0, 127.0.0.1, :: and ::ffff:127.0.0.1 as little-endian kernels print them."""


def inner_folder(spec: InstanceSpec) -> Path:
    """What the container sees as /run/sitewright."""
    return spec.socket.parent / "in"


def prepare(spec: InstanceSpec) -> None:
    """Make the instance's folder; the router may enter it, the tenant owns only the inner one. Raises EngineError."""
    folder = spec.socket.parent
    if len(os.fsencode(spec.socket)) > MAX_PATH:
        raise EngineError(
            f"The socket path {spec.socket} is longer than {MAX_PATH} bytes.", resolution="Set SITEWRIGHT_RUN to a shorter folder."
        )
    clear(spec.socket)
    folder.mkdir(parents=True)
    inner_folder(spec).mkdir()
    folder.chmod(0o750)
    inner_folder(spec).chmod(0o700)
    if is_root():
        os.chown(folder, 0, router_account().gid)
        os.chown(inner_folder(spec), spec.box.uid, spec.box.uid)


def clear(path: Path) -> None:
    """Remove the folder around an instance's socket."""
    shutil.rmtree(path.parent, ignore_errors=True)


def publish(spec: InstanceSpec) -> bool:
    """Link the app's own socket to where the router connects, if it has made one; True when it is there. Follows no symlink of the
    tenant's."""
    try:
        folder = os.open(inner_folder(spec), os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        made = os.open(APP_SOCKET, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return False
    finally:
        os.close(folder)
    try:
        found = os.fstat(made)
        unready = spec.listen in LAUNCHED and stat.S_IMODE(found.st_mode) != OPEN_MODE
        return stat.S_ISSOCK(found.st_mode) and not unready and _link(made, found, spec.socket)
    finally:
        os.close(made)


def _link(made: int, found: os.stat_result, place: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        there = place.lstat()
        if (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino):
            return True
    source = f"/proc/self/fd/{made}"
    os.chmod(source, OPEN_MODE)  # noqa: PTH101 - the folder around it lets only the router in
    place.with_name("new").unlink(missing_ok=True)
    folder = os.open(place.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # With a folder's descriptor Python calls linkat(2), which follows the descriptor's link; without, link(2), which does not.
        os.link(source, "new", dst_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)
    place.with_name("new").replace(place)
    return True


async def connects(path: Path) -> bool:
    """Whether somebody listens on *path*."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        try:
            async with asyncio.timeout(1):
                await loop.sock_connect(client, str(path))
        except (OSError, TimeoutError):
            return False
    return True


def port_is_open(pid: int, port: int) -> bool:
    """Whether something listens on TCP *port*, where the relay reaches it, in the network of process *pid*."""
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                address, _, number = fields[1].partition(":")
                if fields[3] == LISTENING and int(number, 16) == port and address in REACHABLE:
                    return True
    return False
