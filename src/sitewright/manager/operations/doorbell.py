"""Tells workers that something is to be done. Losing a ring costs a second, never the work: workers also poll."""

from __future__ import annotations

import threading
from typing import Protocol


class Doorbell(Protocol):
    """Rings after the transaction that made the work has been committed."""

    def ring(self, operation_id: str) -> None:
        """There is work on this operation."""
        ...


class EmbeddedDoorbell:
    """Wakes the workers of this process."""

    def __init__(self) -> None:
        self._rung = threading.Event()

    def ring(self, operation_id: str) -> None:  # noqa: ARG002 - another doorbell sends the id on
        """Wake them."""
        self._rung.set()

    def wait(self, seconds: float) -> bool:
        """Sleep until it rings, at most that long. Whether it rang; a ring while nobody waited is not lost."""
        rung = self._rung.wait(seconds)
        self._rung.clear()
        return rung


class SilentDoorbell:
    """For processes without workers beside others that poll."""

    def ring(self, operation_id: str) -> None:
        """Nothing; the others poll every second."""
