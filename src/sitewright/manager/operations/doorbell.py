"""Tells workers that something is to be done. Losing a ring costs two seconds, never the work: workers also look by themselves."""

from __future__ import annotations

import threading
from typing import Protocol


class Doorbell(Protocol):
    """Rings after the transaction that made the work has been committed."""

    def ring(self, operation_id: str, *, goes_on: bool = False) -> None:
        """There is work on this operation. *goes_on*: it had begun already, so nothing else has to be looked at first."""
        ...


class EmbeddedDoorbell:
    """Wakes the workers of this process."""

    def __init__(self) -> None:
        self._rung = threading.Event()
        self._lock = threading.Lock()
        self._going_on: set[str] = set()
        self._others = False

    def ring(self, operation_id: str, *, goes_on: bool = False) -> None:
        """Wake them."""
        with self._lock:
            if goes_on:
                self._going_on.add(operation_id)
            else:
                self._others = True
        self._rung.set()

    def wait(self, seconds: float) -> tuple[frozenset[str], bool]:
        """Sleep until it rings, at most that long: which operations go on, and whether to look for others. A ring while nobody waited is
        not lost."""
        rung = self._rung.wait(seconds)
        self._rung.clear()
        with self._lock:
            going_on, others = frozenset(self._going_on), self._others or not rung
            self._going_on.clear()
            self._others = False
        return going_on, others


class SilentDoorbell:
    """For processes without workers beside others that poll."""

    def ring(self, operation_id: str, *, goes_on: bool = False) -> None:
        """Nothing; the others poll every second."""
