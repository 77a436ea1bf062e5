"""Unix sockets of this machine as the kernel lists them."""

from __future__ import annotations

import os
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LISTENING = 0x10000
_CONNECTED = "03"

# sock_diag(7), linux/unix_diag.h
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_DUMP = 0x301
_DONE = 3
_ESTABLISHED = 1
_LISTEN = 10
_SHOW_FILE = 0x2
_SHOW_QUEUE = 0x10
_ATTRIBUTE_FILE = 1
_ATTRIBUTE_QUEUE = 4
_ATTRIBUTE_SHUTDOWN = 6
_BOTH_SHUT = 3
_BUFFER_BYTES = 256 * 1024

FileKey = tuple[int, int]
"""Device and inode of a socket's file."""


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """One end of a unix socket that has a path: the listening one, or one accepted from it."""

    path: str
    listening: bool
    connected: bool


def unix_sockets(table: Path = Path("/proc/net/unix")) -> tuple[UnixSocket, ...]:
    """Every unix stream socket with a path in this network namespace; empty when the kernel does not tell.

    An accepted socket bears the path of the one that listens, and lives in the namespace of who connected (unix(7), proc(5)).
    """
    try:
        text = table.read_text(errors="replace")
    except OSError:
        return ()
    found = []
    for line in text.splitlines()[1:]:
        parts = line.split(maxsplit=7)
        if len(parts) == 8 and parts[4] == "0001":
            found.append(UnixSocket(parts[7], bool(int(parts[3], 16) & _LISTENING), parts[5] == _CONNECTED))
    return tuple(found)


def file_key(path: Path) -> FileKey | None:
    """What ``connections_by_file`` calls the socket at *path*; None when there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (os.major(status.st_dev) << 20 | os.minor(status.st_dev), status.st_ino & 0xFFFFFFFF)


def connections_by_file() -> Counter[FileKey] | None:
    """How many connections each socket file of this network namespace has: accepted, or waiting to be (where the listening socket is of
    this namespace too). None when the kernel cannot tell.

    By file and not by name: an app that makes its own socket calls it by a name of its own world. Who has hung up does not count, also
    when the app has not noticed yet.
    """
    states, shown = 1 << _ESTABLISHED | 1 << _LISTEN, _SHOW_FILE | _SHOW_QUEUE
    body = struct.pack("=BBHIII2I", socket.AF_UNIX, 0, 0, states, 0, shown, 0xFFFFFFFF, 0xFFFFFFFF)
    request = struct.pack("=IHHII", 16 + len(body), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0) + body
    found: Counter[FileKey] = Counter()
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as link:
            link.settimeout(1.0)
            link.send(request)
            while not _read_messages(link.recv(_BUFFER_BYTES), found):
                pass
    except OSError:
        return None
    return found


def _read_messages(data: bytes, found: Counter[FileKey]) -> bool:
    """Count the sockets of one piece of the answer; whether it was the last. Raises OSError when the kernel refuses."""
    at = 0
    while at + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        if kind == _DONE:
            return True
        if kind != _SOCK_DIAG_BY_FAMILY:
            raise OSError("the kernel lists no unix sockets")
        attributes = dict(_attributes(data, at + 32, at + length))
        shut = attributes.get(_ATTRIBUTE_SHUTDOWN, b"\0")[0] == _BOTH_SHUT
        if _ATTRIBUTE_FILE in attributes and not shut:
            inode, device = struct.unpack_from("=II", attributes[_ATTRIBUTE_FILE])
            listens = data[at + 18] == _LISTEN
            # Who waits to be accepted is not listed, but counted by the socket that listens.
            found[device, inode] += struct.unpack_from("=I", attributes.get(_ATTRIBUTE_QUEUE, b"\0" * 4))[0] if listens else 1
        at += (length + 3) & ~3
    return False


def _attributes(data: bytes, at: int, end: int) -> Iterator[tuple[int, bytes]]:
    while at + 4 <= end:
        length, kind = struct.unpack_from("=HH", data, at)
        yield kind, data[at + 4 : at + length]
        at += max((length + 3) & ~3, 4)
