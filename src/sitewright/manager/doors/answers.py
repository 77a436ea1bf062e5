"""What the SSH door asks on the bus, answered by any manager process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import Error, connection

from sitewright.bus.base import Bus
from sitewright.bus.messages import Ack, DoorGrant, DoorKey, DoorOpen, DoorPerson, DoorService, Message
from sitewright.bus.subjects import DOOR, MANAGER_QUEUE, door, door_session, rpc
from sitewright.domain.identity import is_id
from sitewright.errors import EngineError, InvalidValueError
from sitewright.manager.accounts.ssh_keys import key_owner
from sitewright.manager.doors.opening import Opening, prepare

T = TypeVar("T")

THREADS = 2
GIT_SECONDS = 25.0
START_SECONDS = 70.0
"""Less than the door waits: something may have to be woken, or a box started."""


class Doors:
    """Answers `key` and `open`."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="doors")
        self._bus: Bus | None = None

    async def prepare(self, bus: Bus) -> None:
        """Begin to answer."""
        self._bus = bus
        await bus.serve(door(DOOR, "key"), DoorKey, self.key, MANAGER_QUEUE)
        await bus.serve(door(DOOR, "open"), DoorOpen, self.open, MANAGER_QUEUE)

    def close(self) -> None:
        """End the threads."""
        self._threads.submit(connection.close)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def key(self, asked: DoorKey) -> Message:
        """Whose key it is. Raises NotFoundError for nobody's."""
        return await self._soon(lambda: _person(asked))

    async def open(self, asked: DoorOpen) -> Message:
        """Have the node open it, if they may."""
        if not is_id(asked.session):
            raise InvalidValueError("This is not a session's id.")
        # The door's own name is put before the id here: whatever it asks for, it can only name sessions that it alone hears.
        opening = await self._soon(lambda: prepare(asked, door_session(DOOR, asked.session)))
        await self._ask(opening, GIT_SECONDS if asked.service in {DoorService.GIT_READ, DoorService.GIT_WRITE} else START_SECONDS)
        return DoorGrant(node=opening.node)

    async def _ask(self, opening: Opening, seconds: float) -> None:
        assert self._bus is not None
        answer = await self._bus.request(rpc(opening.node, opening.method), opening.question, Ack, seconds)
        if answer.problem:
            raise EngineError("It could not be opened.", details=answer.problem)

    def _soon(self, work: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, _connected, work)


def _connected(work: Callable[[], T]) -> T:
    """The thread keeps its connection to the database, unless that has failed."""
    try:
        return work()
    except Error:
        connection.close()
        raise


def _person(asked: DoorKey) -> DoorPerson:
    key = key_owner(asked.fingerprint, asked.address, used=asked.used)
    return DoorPerson(user_id=str(key.user_id), email=key.user.email, key_label=key.label)
