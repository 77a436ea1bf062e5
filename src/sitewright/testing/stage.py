"""The manager with a fake node and a fake clock, driven by hand in the test's own thread: nothing happens but what a test asks for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sitewright.bus.base import Bus
from sitewright.bus.memory import MemoryBus, MemoryHub
from sitewright.bus.messages import Heartbeat
from sitewright.manager.bus import BusThread
from sitewright.manager.operations import claims
from sitewright.manager.operations.doorbell import SilentDoorbell
from sitewright.manager.operations.engine import Engine
from sitewright.manager.operations.models import Operation
from sitewright.manager.operations.registry import all_handlers
from sitewright.manager.operations.services import ring_site
from sitewright.manager.releases.services import record_build_status
from sitewright.manager.runtime import Runtime, install
from sitewright.manager.sites.reports import forget_aborted, push_soon, record_heartbeat
from sitewright.system.clock import FakeClock
from sitewright.testing.fake_node import FakeNode


class KilledError(BaseException):
    """As kill -9: nothing catches it."""


class Stage:
    """One manager, one node."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.node = FakeNode(now=self.clock.now())
        self.bus = BusThread(self._make_bus)
        self.engine = Engine(all_handlers(), self.clock)

    def _make_bus(self) -> Bus:
        self.hub = MemoryHub()
        return MemoryBus(self.hub)

    def start(self) -> None:
        """Connect the two."""
        self.bus.start()
        self.bus.run(self.node.join(MemoryBus(self.hub)), 5)

    def listen(self) -> None:
        """Write down what the node has said."""
        for message in self.node.take():
            if isinstance(message, Heartbeat):
                news, untold = record_heartbeat(message), forget_aborted(message)
                for site_id in news:
                    ring_site(site_id)
                push_soon(untold)
            elif built := record_build_status(message, self.node.name):
                ring_site(built)

    def turn(self, owner: str = "stage") -> list[str]:
        """One round of a worker: everything that is due is claimed and run once. The ids."""
        self.listen()
        ran = []
        for operation_id in claims.due(self.clock.now()):
            operation = claims.claim(operation_id, owner, self.clock.now())
            if operation is not None:
                self.engine.run(operation)
                ran.append(operation_id)
            self.listen()
        return ran

    def play(self, seconds: float = 120.0, step: float = 1.0) -> None:
        """Rounds, *step* seconds apart, until nothing is queued or waiting, at most that long."""
        for _ in range(int(seconds / step)):
            self.turn()
            self.listen()
            if not Operation.objects.filter(state__in=["queued", "running", "waiting"]).exists():
                return
            self.clock.advance(step)

    def play_killed(self, monkeypatch: pytest.MonkeyPatch, write: int) -> None:
        """Play with a worker that dies at its *write*-th write; when its lease has run out another one goes on."""
        hold, count = claims.hold, itertools.count(1)

        def dying(row: Operation) -> None:
            if next(count) == write:
                raise KilledError
            hold(row)

        for module in ("claims", "engine"):
            monkeypatch.setattr(f"sitewright.manager.operations.{module}.hold", dying)
        try:
            self.play()
        except KilledError:
            self.clock.advance(claims.LEASE_SECONDS + 1)
            claims.reap(self.clock.now())
            self.play()


@contextmanager
def on_stage() -> Iterator[Stage]:
    """A stage for as long as the block lasts."""
    stage = Stage()
    former = install(Runtime(clock=stage.clock, doorbell=SilentDoorbell(), bus=stage.bus))
    stage.start()
    try:
        yield stage
    finally:
        stage.bus.stop()
        install(former)
