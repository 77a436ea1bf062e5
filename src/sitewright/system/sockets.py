"""Unix sockets of this machine as the kernel lists them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_LISTENING = 0x10000
_CONNECTED = "03"


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
