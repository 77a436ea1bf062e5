"""A place on the network that is not this machine, as far as sandboxes can see: what listens there can be reached from a box.

The listening socket is made in a network namespace of its own; whoever serves it stays in this process.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from sitewright.system.processes import run_blocking

NETWORK = "198.51.100.0/24"
"""For documentation (RFC 5737); the platform must be told that it may be reached (SITEWRIGHT_EXTRA_EGRESS)."""
_CLONE_NEWNET = 0x40000000


@contextmanager
def elsewhere() -> Iterator[socket.socket]:
    """A listening socket at an address of its own, until the end of this. Needs root."""
    name = f"swe{secrets.token_hex(3)}"
    place = 240 + secrets.randbelow(4) * 4
    here, there = f"198.51.100.{place + 1}", f"198.51.100.{place + 2}"
    lines = (
        f"ip netns add {name}",
        f"ip link add {name} type veth peer name eth0 netns {name}",
        f"ip address add {here}/30 dev {name}",
        f"ip link set {name} up",
        f"ip -n {name} address add {there}/30 dev eth0",
        f"ip -n {name} link set eth0 up",
        f"ip -n {name} route add default via {here}",
    )
    try:
        for line in lines:
            done = run_blocking(line.split())
            assert done.ok, line
        with _listening(name, there) as listener:
            yield listener
    finally:
        run_blocking(["ip", "netns", "del", name])
        run_blocking(["ip", "link", "del", name])


def _listening(name: str, address: str) -> socket.socket:
    made: list[socket.socket] = []

    def enter() -> None:
        # A thread of its own ends in the namespace; the others never enter it.
        with Path(f"/run/netns/{name}").open() as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        made.append(socket.create_server((address, 0)))

    thread = Thread(target=enter)
    thread.start()
    thread.join(10)
    assert made, f"no listening socket in {name}"
    return made[0]
