"""Become nginx, after clearing away the socket that a killed one left: nginx cannot listen where a file is.

Run as ``python -I -S start.py <socket> <nginx argv…>``: standard library only, about 15 ms, and nothing of it stays.
"""

from __future__ import annotations

import os
import socket
import sys

LOGS_UMASK = 0o027
"""nginx makes its logs when it is told to open them anew: who visited which site is nobody else's business on this machine."""


def answers(path: str) -> bool:
    """Whether somebody listens on the unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0


def main(path: str, argv: list[str]) -> None:
    """Replace this process by *argv*; a socket that somebody listens on stays, so that nginx itself says that it runs already."""
    if os.path.exists(path) and not answers(path):  # noqa: PTH110
        os.unlink(path)  # noqa: PTH108
    os.umask(LOGS_UMASK)
    os.execv(argv[0], argv)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
