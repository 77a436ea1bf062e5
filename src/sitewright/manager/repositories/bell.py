"""Wakes the loops of this process when something has come; other processes look every few seconds."""

from __future__ import annotations

import threading

_rung = threading.Event()


def ring() -> None:
    """From any thread."""
    _rung.set()


def wait(seconds: float) -> None:
    """Until it was rung since the last time, at most that long."""
    _rung.wait(seconds)
    _rung.clear()
