"""The socket that the router connects to, whoever made it.

``<run>/i/<id>/s`` leads to ``g/s``, which belongs to the engine and is never inside the container. What is, is ``g/in``: there the launcher
(FD, PORT) or the app itself (SOCKET, FASTCGI) makes a socket, which the engine then links to ``g/s``. A hard link to the very socket, not a
symlink: a tenant who puts a symlink there would steer the router to any socket that it may open. ``g`` is a small file system of its own,
so that a tenant cannot fill the machine's run folder.
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
from sitewright.system import scratch
from sitewright.system.accounts import is_root, router_account

GUEST = "g"
GUEST_BYTES = 64 * 1024
GUEST_FILES = 16
APP_SOCKET = Path(SOCKET_PATH).name
MAX_PATH = 107
LISTENING = "0A"
REACHABLE = frozenset({"00000000", "0100007F", "0" * 32, "0000000000000000FFFF00000100007F"})
"""0.0.0.0, 127.0.0.1, :: and ::ffff:127.0.0.1 as little-endian kernels print them."""


def inner_folder(spec: InstanceSpec) -> Path:
    """What the container sees as /run/sitewright."""
    return spec.socket.parent / GUEST / "in"


def prepare(spec: InstanceSpec) -> None:
    """Make the instance's folder; the router may enter it, the tenant owns only the inner one. Raises EngineError."""
    folder = spec.socket.parent
    if len(os.fsencode(folder / GUEST / "s")) > MAX_PATH:
        raise EngineError(
            f"The socket path {spec.socket} is longer than {MAX_PATH - 2} bytes.", resolution="Set SITEWRIGHT_RUN to a shorter folder."
        )
    clear(spec.socket)
    guest = folder / GUEST
    guest.mkdir(parents=True)
    folder.chmod(0o750)
    try:
        scratch.mount(guest, GUEST_BYTES, GUEST_FILES)
    except OSError as error:
        raise EngineError("The folder for the instance's socket could not be made.", details=str(error)) from error
    inner_folder(spec).mkdir(mode=0o700)
    if is_root():
        os.chown(folder, 0, router_account().gid)
        os.chown(inner_folder(spec), spec.box.uid, spec.box.uid)
    spec.socket.symlink_to(f"{GUEST}/s")


def clear(path: Path) -> None:
    """Remove the folder around an instance's socket."""
    scratch.unmount(path.parent / GUEST)
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
        ready = stat.S_ISSOCK(found.st_mode) and (spec.listen not in LAUNCHED or bool(found.st_mode & stat.S_IWUSR))
        if ready:
            _link(made, found, spec)
        return ready
    finally:
        os.close(made)


def _link(made: int, found: os.stat_result, spec: InstanceSpec) -> None:
    place = spec.socket.parent / GUEST / "s"
    with contextlib.suppress(FileNotFoundError):
        there = place.lstat()
        if (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino):
            return
    source, new = f"/proc/self/fd/{made}", place.with_name("s.new")
    if is_root():
        os.chown(source, spec.box.uid, router_account().gid)
    os.chmod(source, 0o660)  # noqa: PTH101 - a descriptor's link, not a path
    new.unlink(missing_ok=True)
    folder = os.open(place.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # With a folder's descriptor Python calls linkat(2), which follows the descriptor's link; without, link(2), which does not.
        os.link(source, new.name, dst_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)
    new.replace(place)


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
