"""Listening sockets that belong to the supervisor: whoever answers on them may be replaced, requests wait meanwhile.

Standard library only, for the supervisor is small. A socket of the plan is {"name", "path", "mode", "gid"} or {"name", "address", "port"},
each with a "backlog".
"""

# pathlib would cost the supervisor a megabyte for its whole life.
# ruff: noqa: PTH101, PTH108

from __future__ import annotations

import contextlib
import os
import socket

WAKE, MANAGER, SSH = "wake", "manager", "ssh"
"""Names of sockets."""


def make(spec: dict[str, object]) -> int:
    """The descriptor of a new listening socket. Raises OSError.

    A unix socket is bound to its own path, not renamed to it: nginx compares the name that the kernel knows.
    """
    path = str(spec.get("path", ""))
    if path:
        listener = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        before = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(before)
        if os.geteuid() == 0:
            os.chown(path, -1, int(str(spec["gid"])))
        os.chmod(path, int(str(spec["mode"])))
    else:
        address = str(spec["address"])
        listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if listener.family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, int(str(spec["port"]))))
    listener.listen(int(str(spec["backlog"])))
    listener.setblocking(False)  # the flag is shared with whoever inherits it
    return listener.detach()


def complete(specs: list[dict[str, object]], kept: dict[str, int]) -> dict[str, int]:
    """Name → descriptor of all that the plan names: those kept, the missing ones made, the others closed. Raises OSError."""
    wanted = {str(spec["name"]): spec for spec in specs}
    for name in kept.keys() - wanted.keys():
        os.close(kept[name])
    return {name: kept[name] if name in kept else make(spec) for name, spec in wanted.items()}


def remove(specs: list[dict[str, object]]) -> None:
    """Take the names of unix sockets away, at the end of the platform."""
    for spec in specs:
        if spec.get("path"):
            with contextlib.suppress(OSError):
                os.unlink(str(spec["path"]))


def answers(address: str, port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as client:
        client.settimeout(1.0)
        return client.connect_ex((address, port)) == 0
