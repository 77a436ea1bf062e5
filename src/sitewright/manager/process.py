"""Puts the parts of a manager process together: the bus with its listener, the worker, the runtime."""

from __future__ import annotations

import logging

from sitewright.bus.base import Bus
from sitewright.bus.client import NatsBus
from sitewright.bus.server import MANAGER, load_credentials
from sitewright.config.settings import Settings
from sitewright.manager.bus import BusThread
from sitewright.manager.doors.answers import Doors
from sitewright.manager.listening import Listener
from sitewright.manager.operations.doorbell import EmbeddedDoorbell
from sitewright.manager.operations.engine import Engine
from sitewright.manager.operations.registry import all_handlers
from sitewright.manager.operations.worker import Worker
from sitewright.manager.repositories.worker import Loops
from sitewright.manager.runtime import Runtime, install
from sitewright.system.clock import SystemClock

log = logging.getLogger(__name__)


class Process:
    """A manager process: hears nodes, works on operations. ``threads`` 0 leaves the work to other processes."""

    def __init__(self, settings: Settings, *, threads: int = 2, listens: bool = True) -> None:
        self._doorbell = EmbeddedDoorbell()
        self._listener = Listener(settings.node) if listens else None
        self._doors = Doors() if listens else None
        self._bus = BusThread(lambda: connect(settings), self._prepare)
        clock = SystemClock()
        self._runtime = Runtime(clock=clock, doorbell=self._doorbell, bus=self._bus)
        self._worker = Worker(Engine(all_handlers(), clock), clock, self._doorbell, threads, woken=listens) if threads else None
        self._loops = Loops(clock) if threads else None

    async def _prepare(self, bus: Bus) -> None:
        for part in (self._listener, self._doors):
            if part is not None:
                await part.prepare(bus)

    def start(self) -> None:
        """Begin; the bus may come later."""
        install(self._runtime)
        self._bus.start()
        if self._worker is not None:
            self._worker.start()
        if self._loops is not None:
            self._loops.start()

    def stop(self) -> None:
        """Finish what runs, keep the rest for the next process."""
        if self._loops is not None:
            self._loops.stop()
        if self._worker is not None:
            self._worker.stop()
        self._bus.stop()
        for part in (self._listener, self._doors):
            if part is not None:
                part.close()


def connect(settings: Settings) -> Bus:
    """The platform's bus, connecting in the background. Call it in the loop that it is to live in."""
    bus = NatsBus(lambda: load_credentials(settings.paths, MANAGER))
    bus.open()
    return bus
