"""Runs first inside a container: makes the listening socket, then becomes the app.

    launch.py fd|port PORT -- program argument…
    launch.py image-port|image-none|image-talk PORT relay… -- line

Docker cannot hand descriptors over, so the socket is made inside, before any of the tenant's code runs; the engine links it to where the
router connects. With ``fd`` the app gets it as descriptor 3; with ``port`` a relay gets it, which runs beside the app in the same network
and control groups. The socket's name is a path that the app may remove: gunicorn does so when it stops, and without that stops at once.
In a tenant's own image nothing of this platform is there but this file and what runs it. So how to run the relay is told as well, and the
app is a line: the words of the image's ENTRYPOINT and CMD, or one for its shell.
Standard library only; this file is copied into the image and is not imported by the platform.
"""

from __future__ import annotations

import os
import socket
import sys

SOCKET = "/run/sitewright/web.sock"
RELAY = "/lib/systemd/systemd-socket-proxyd"
BACKLOG = 1024
FIRST_DESCRIPTOR = 3


def listen() -> int:
    """A listening socket at ``SOCKET``; the engine waits for its mode, which is set when it listens. Raises OSError."""
    os.umask(0o777)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(SOCKET)
    os.umask(0o022)
    listener.listen(BACKLOG)
    os.chmod(SOCKET, 0o600)  # noqa: PTH101 - pathlib takes 10 ms to import
    return listener.detach()


def become(descriptor: int, program: str, arguments: list[str]) -> None:
    """Replace this process by *program* with the socket as descriptor 3."""
    if descriptor != FIRST_DESCRIPTOR:
        os.dup2(descriptor, FIRST_DESCRIPTOR)
    os.set_inheritable(FIRST_DESCRIPTOR, True)
    os.environ["LISTEN_FDS"] = "1"
    os.execv(program, arguments)  # noqa: S606 - a list, and no shell


def start_relay(descriptor: int, port: str, relay: list[str]) -> None:
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
    # Only the relay is told by LISTEN_PID that it is meant: gunicorn would take descriptor 3 twice, for `fd://3` and for this.
    os.environ["LISTEN_PID"] = str(os.getpid())
    become(descriptor, relay[0], [*relay, "--connections-max=1024", f"127.0.0.1:{port}"])


def words_of(line: str) -> list[str]:
    """The words of a line that is nothing but `exec` and quoted words, so that it needs no shell; else a shell and the line."""
    import shlex  # noqa: PLC0415 - only images need it, and it takes milliseconds

    try:
        words = shlex.split(line)
    except ValueError:
        words = []
    if words[:1] == ["exec"] and len(words) > 1 and shlex.join(words) == line:
        return words[1:]
    return ["/bin/sh", "-c", line]


def run_image(mode: str, port: str, relay: list[str], line: str) -> None:
    """Become what a tenant's image runs. Exit code 127 when it is not there, as of a shell."""
    if mode != "image-talk":
        os.dup2(1, 2)
    for setting in os.environ.pop("SITEWRIGHT_LD", "").split("\n"):
        name, _, value = setting.partition("=")
        if name:
            os.environ[name] = value
    if mode == "image-port":
        listener = listen()
        start_relay(listener, port, relay)
        os.close(listener)
    words = words_of(line)
    try:
        os.execvp(words[0], words)  # noqa: S606 - a list, and no shell but the tenant's
    except OSError as error:
        os.write(2, f"{words[0]} cannot be run in this image: {error.strerror}\n".encode())
        os._exit(127)


def main() -> None:
    """Make the socket, start a relay if one is wanted, become the app."""
    mode, port, *rest = sys.argv[1:]
    relay, argv = rest[: rest.index("--")], rest[rest.index("--") + 1 :]
    if mode.startswith("image-"):
        run_image(mode, port, relay, argv[0])
    listener = listen()
    if mode == "port":
        start_relay(listener, port, [RELAY])
        os.close(listener)
        os.execv(argv[0], argv)  # noqa: S606 - a list, and no shell
    become(listener, argv[0], argv)


if __name__ == "__main__":
    main()
