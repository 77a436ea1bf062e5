"""Runs first inside a container: takes the listening socket from the engine, then becomes the app.

    launch.py fd|port PORT -- program argument…

Docker cannot hand descriptors over, so the engine offers the socket it has made on a unix socket of its own (SCM_RIGHTS). With ``fd``
the app gets it as descriptor 3; with ``port`` a relay gets it, which runs beside the app in the same network and control groups.
Standard library only; this file is copied into the image and is not imported by the platform.
"""

from __future__ import annotations

import os
import socket
import sys

HANDOVER = "/run/sitewright/handover"
RELAY = "/lib/systemd/systemd-socket-proxyd"
PATIENCE_SECONDS = 20.0
FIRST_DESCRIPTOR = 3
UNAVAILABLE = 69  # EX_UNAVAILABLE of sysexits.h


def receive() -> int:
    """The listening socket. Raises OSError when the engine does not offer one."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_SECONDS)
        client.connect(HANDOVER)
        _, descriptors, _, _ = socket.recv_fds(client, 1, 1)
    if not descriptors:
        raise OSError("the engine closed without handing over a socket")
    return descriptors[0]


def become(descriptor: int, program: str, arguments: list[str]) -> None:
    """Replace this process by *program* with the socket as descriptor 3, as systemd's socket activation does."""
    if descriptor != FIRST_DESCRIPTOR:
        os.dup2(descriptor, FIRST_DESCRIPTOR)
    os.set_inheritable(FIRST_DESCRIPTOR, True)
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
    os.execv(program, arguments)  # noqa: S606 - a list, and no shell


def start_relay(descriptor: int, port: str) -> None:
    """Leave a relay behind that is nobody's child but the container's init's, so that the app never has to wait for it."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    if os.fork():
        os._exit(0)
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    become(descriptor, RELAY, [RELAY, "--connections-max=1024", f"127.0.0.1:{port}"])


def main() -> None:
    """Take the socket, start a relay if one is wanted, become the app."""
    mode, port, _, *argv = sys.argv[1:]
    try:
        listener = receive()
    except OSError as error:
        print(f"The platform did not hand over the listening socket: {error}", file=sys.stderr)
        raise SystemExit(UNAVAILABLE) from error
    if mode == "port":
        start_relay(listener, port)
        os.close(listener)
        os.execv(argv[0], argv)  # noqa: S606 - a list, and no shell
    become(listener, argv[0], argv)


if __name__ == "__main__":
    main()
