"""The threads of connected repositories. One acts upon what web hooks brought, looks at repositories without web hooks, removes old
previews; the other speaks with vendors, so that a slow one delays nothing else. What either was at when it was killed is done again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from django.db import Error, connection

from sitewright.errors import SitewrightError
from sitewright.manager.operations.claims import moment
from sitewright.manager.repositories import bell, deliveries, fetching, previews, reports
from sitewright.manager.repositories.models import Connection
from sitewright.manager.repositories.syncing import Why, ask_sync
from sitewright.manager.runtime import runtime
from sitewright.system.clock import Clock

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
BELL_SECONDS = 5.0
"""Between two looks of whom a bell wakes."""
POLL_SECONDS = 15.0
SWEEP_SECONDS = 60.0
CLEAN_SECONDS = 3600.0
JOIN_SECONDS = 5.0
MOST_POLLS = 20


@dataclass
class _Chore:
    """Something that is done every so often; ``last`` is the steady clock's time."""

    work: Callable[[], object]
    seconds: float
    last: float = float("-inf")


class Loops:
    """Works until stopped."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stopping = threading.Event()
        chores = [
            _Chore(deliveries.act_due, 0.0),
            _Chore(poll, POLL_SECONDS),
            _Chore(previews.sweep, SWEEP_SECONDS),
            _Chore(deliveries.forget_old, CLEAN_SECONDS),
            _Chore(previews.forget_old, CLEAN_SECONDS),
            _Chore(reports.forget_old, CLEAN_SECONDS),
        ]
        telling = [_Chore(reports.tell_due, 0.0)]
        self._threads = [
            threading.Thread(target=self._work, args=(chores, lambda _seconds: bell.wait(BELL_SECONDS)), name="repositories", daemon=True),
            threading.Thread(target=self._work, args=(telling, self._stopping.wait), name="repositories-reports", daemon=True),
        ]

    def start(self) -> None:
        """Begin to work."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish what is being done, begin nothing new."""
        self._stopping.set()
        bell.ring()
        for thread in self._threads:
            thread.join(JOIN_SECONDS)

    def _work(self, chores: list[_Chore], wait: Callable[[float], object]) -> None:
        while not self._stopping.is_set():
            for chore in chores:
                now = self._clock.steady()
                if now - chore.last >= chore.seconds and not self._stopping.is_set():
                    chore.last = now
                    _kept(chore.work)
            wait(LOOK_SECONDS)
        connection.close()


def _kept(work: Callable[[], object]) -> None:
    """A database that is away for a moment ends no thread."""
    try:
        work()
    except Exception as error:
        log.exception("repositories.database_error" if isinstance(error, Error) else "repositories.worker_error")
        connection.close()


def poll() -> int:
    """Look at the repositories whose time has come; how many."""
    now = moment(runtime().clock.now())
    due = Connection.objects.filter(look_at__lte=now).select_related("site__team").order_by("look_at")
    count = 0
    for row in due[:MOST_POLLS]:
        # Put down first: whoever else looks at the same moment finds it done.
        fetching.look_again(row)
        try:
            ask_sync(row, Why("looked"))
            count += 1
        except SitewrightError:
            log.warning("repositories.not_looked_at", extra={"connection": row.id}, exc_info=True)
    return count
