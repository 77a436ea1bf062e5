"""The threads that work: some run operations, one keeps leases alive, takes over expired ones and looks for what is due when that is."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable

from django.db import Error, connection

from sitewright.domain.identity import new_id
from sitewright.manager.operations import claims
from sitewright.manager.operations.claims import Claim
from sitewright.manager.operations.doorbell import EmbeddedDoorbell
from sitewright.manager.operations.engine import Engine
from sitewright.manager.releases.describing import describe_forgotten
from sitewright.manager.releases.uploads import forget_old
from sitewright.system.clock import Clock

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""Between two looks while something is due and cannot begin yet, and of workers that other processes' doorbells do not wake."""
IDLE_SECONDS = 2.0
"""Between two looks otherwise, unless something is due before: a dead worker's lease is found to have run out within that."""
RENEW_SECONDS = 2.0
CLEAN_SECONDS = 3600.0
JOIN_SECONDS = 5.0


class Worker:
    """Works until stopped. What is cut off by its end is taken over by the next worker when the lease has run out. *woken*: whoever
    makes work rings this doorbell."""

    def __init__(self, engine: Engine, clock: Clock, doorbell: EmbeddedDoorbell, threads: int = 2, *, woken: bool = True) -> None:
        self._engine = engine
        self._clock = clock
        self._doorbell = doorbell
        self._longest = IDLE_SECONDS if woken else POLL_SECONDS
        self._pause = POLL_SECONDS
        self._owner = f"worker-{new_id()}"
        self._stopping = threading.Event()
        self._ready: queue.Queue[str | None] = queue.Queue()
        self._lock = threading.Lock()
        self._taken: set[str] = set()
        self._claims: set[Claim] = set()
        names = [f"operations-{number}" for number in range(threads)]
        self._threads = [threading.Thread(target=self._work, name=name, daemon=True) for name in names]
        self._keeper = threading.Thread(target=self._keep, name="operations-keeper", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        for thread in [*self._threads, self._keeper]:
            thread.start()

    def stop(self) -> None:
        """Finish the steps that run now, begin nothing new."""
        self._stopping.set()
        self._doorbell.ring("")
        for _ in self._threads:
            self._ready.put(None)
        for thread in [self._keeper, *self._threads]:
            thread.join(JOIN_SECONDS)

    def _work(self) -> None:
        while (operation_id := self._ready.get()) is not None:
            try:
                self._kept(lambda found=operation_id: self._run(found))  # type: ignore[misc]
            finally:
                with self._lock:
                    self._taken.discard(operation_id)
                self._doorbell.ring(operation_id)
        connection.close()

    def _run(self, operation_id: str) -> None:
        operation = claims.claim(operation_id, self._owner, self._clock.now())
        if operation is None:
            return
        claim = Claim(operation.id, operation.fence)
        with self._lock:
            self._claims.add(claim)
        try:
            self._engine.run(operation)
        finally:
            with self._lock:
                self._claims.discard(claim)

    def _keep(self) -> None:
        renewed = looked = cleaned = self._clock.steady()
        while not self._stopping.is_set():
            going_on, others = self._doorbell.wait(self._pause)
            self._offer(going_on)
            now = self._clock.steady()
            if now - renewed >= RENEW_SECONDS:
                renewed = now
                self._kept(self._renew)
            if now - cleaned >= CLEAN_SECONDS:
                cleaned = now
                self._kept(self._clean)
            if others or now - looked >= self._pause:
                looked = now
                self._kept(self._look)
        connection.close()

    def _look(self) -> None:
        """One question while nothing is to be done."""
        self._pause = POLL_SECONDS
        now = self._clock.now()
        due_at, ends_at = claims.ahead()
        if ends_at < now:
            self._reap()
            due_at = min(due_at, now)
        if due_at <= now:
            self._offer(claims.due(now))
        else:
            self._pause = min(self._longest, due_at - now)

    def _offer(self, operation_ids: Iterable[str]) -> None:
        """To whoever has nothing to do; one that is not to be claimed is passed over there."""
        for operation_id in operation_ids:
            with self._lock:
                fresh = operation_id not in self._taken
                self._taken.add(operation_id)
            if fresh:
                self._ready.put(operation_id)

    def _renew(self) -> None:
        with self._lock:
            held = list(self._claims)
        if held:
            claims.renew(held, self._clock.now())

    def _reap(self) -> None:
        count = claims.reap(self._clock.now())
        if count:
            log.warning("operations.taken_over", extra={"count": count})

    @staticmethod
    def _clean() -> None:
        forget_old()
        describe_forgotten()

    @staticmethod
    def _kept(work: Callable[[], None]) -> None:
        """A database that is away for a moment ends no thread. The connection stays open: opening one each time is most of what an idle
        manager does."""
        try:
            work()
        except Exception as error:
            log.exception("operations.database_error" if isinstance(error, Error) else "operations.worker_error")
            connection.close()
