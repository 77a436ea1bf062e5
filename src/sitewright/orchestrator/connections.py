"""Who is connected to an instance now: what decides when one has drained, and when a channel may freeze."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable

from sitewright.domain.processes import Listen
from sitewright.engines.base import SOCKET_PATH
from sitewright.orchestrator.model import Instance
from sitewright.system.clock import Clock
from sitewright.system.sockets import FileKey, connections_by_file, file_key, unix_sockets

Connections = Callable[[Instance], int | None]
"""Open connections to an instance's socket; None when nobody knows."""

FRESH_SECONDS = 0.02
"""One look at the kernel's list serves all who ask within this: many channels fall asleep together."""


class SocketConnections:
    """Counts them in the kernel's list of unix sockets."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at = float("-inf")
        self._counts: Counter[FileKey] | None = None

    def __call__(self, instance: Instance) -> int | None:
        """Open connections to its socket; None when the kernel does not tell, or there is no socket."""
        now = self._clock.steady()
        if now - self._at > FRESH_SECONDS:
            self._at, self._counts = now, connections_by_file()
        if self._counts is None:
            return _by_name(instance)
        key = file_key(instance.socket)
        return None if key is None else self._counts[key]


def _by_name(instance: Instance) -> int | None:
    """For kernels without sock_diag(7) for unix sockets.

    A socket that the engine made shows its own path; one that the app made shows the path inside, which all share: nobody connected to
    any of them means nobody connected to this one.
    """
    sockets = unix_sockets()
    connections: int | None = None
    own = [s for s in sockets if s.path == os.fspath(instance.socket) or f"/{instance.id}/" in s.path]
    if any(s.listening for s in own):
        connections = sum(1 for s in own if s.connected)
    if instance.listen in (Listen.SOCKET, Listen.FASTCGI) and not connections:
        connections = None if any(s.connected for s in sockets if s.path == SOCKET_PATH) else 0
    return connections
