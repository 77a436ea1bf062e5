"""Telling whoever started this process that it is ready, and taking over the listening sockets that it was given."""

from __future__ import annotations

import contextlib
import os
import socket

READY_VARIABLE = "SITEWRIGHT_READY_FD"


def say_ready() -> None:
    """One byte on the descriptor that the environment names; nothing without one, or the second time."""
    number = os.environ.pop(READY_VARIABLE, "")
    if number.isdigit():
        with contextlib.suppress(OSError):
            os.write(int(number), b"1")
        with contextlib.suppress(OSError):
            os.close(int(number))


def inherited_socket(variable: str) -> socket.socket | None:
    """The listening socket whose descriptor the environment names, not inherited any further; None without one, or the second time."""
    number = os.environ.pop(variable, "")
    if not number.isdigit():
        return None
    try:
        listener = socket.socket(fileno=int(number))
    except OSError:
        return None
    listener.set_inheritable(False)
    return listener
