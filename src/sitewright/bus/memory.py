"""The bus inside one process: for tests and simulations, with the same contract as the real one.

Messages are encoded and decoded on the way, so that what cannot be sent over a wire cannot be sent here.
``MemoryHub`` is the wire; each participant has a ``MemoryBus`` on it. ``hub.cut()`` and ``hub.mend()`` play a lost connection.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from sitewright.bus.base import Answerer, Listener, M, Subscription, decode_answer, to_failure
from sitewright.bus.messages import Message
from sitewright.errors import SitewrightError, UnavailableError

log = logging.getLogger(__name__)

Raw = Callable[[str, bytes], Awaitable[bytes | None]]


def matches(pattern: str, subject: str) -> bool:
    """NATS subject rules: `*` is one token, `>` is one or more at the end."""
    wanted, given = pattern.split("."), subject.split(".")
    for position, part in enumerate(wanted):
        if part == ">":
            return len(given) > position
        if position >= len(given) or part not in ("*", given[position]):
            return False
    return len(wanted) == len(given)


@dataclass(eq=False)
class _Listening:
    hub: MemoryHub
    pattern: str
    queue: str
    raw: Raw
    waiting: asyncio.Queue[tuple[str, bytes]] = field(default_factory=asyncio.Queue)
    worker: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Stop listening."""
        if self in self.hub.listening:
            self.hub.listening.remove(self)
        if self.worker is not None:
            self.worker.cancel()


@dataclass(eq=False)
class MemoryHub:
    """The wire between MemoryBus objects of one event loop."""

    listening: list[_Listening] = field(default_factory=list)
    buses: list[MemoryBus] = field(default_factory=list)
    up: bool = True
    turn: itertools.count[int] = field(default_factory=itertools.count)

    def cut(self) -> None:
        """Nobody reaches anybody."""
        self.up = False

    async def mend(self) -> None:
        """Everybody reaches everybody again, and is told so."""
        self.up = True
        for bus in list(self.buses):
            await bus.announce()

    def receivers(self, subject: str) -> list[_Listening]:
        """Everyone who gets a message on *subject*: each plain listener, and one of each queue."""
        hits = [one for one in self.listening if matches(one.pattern, subject)]
        plain = [one for one in hits if not one.queue]
        for queue in sorted({one.queue for one in hits if one.queue}):
            members = [one for one in hits if one.queue == queue]
            plain.append(members[next(self.turn) % len(members)])
        return plain


class MemoryBus:
    """Keeps the contract of sitewright.bus.base.Bus on a MemoryHub."""

    def __init__(self, hub: MemoryHub) -> None:
        self._hub = hub
        self._callbacks: list[Callable[[], Awaitable[None]]] = []
        self._own: list[_Listening] = []
        hub.buses.append(self)

    @property
    def connected(self) -> bool:
        """Whether the hub is up."""
        return self._hub.up

    def on_connected(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Call *callback* after each reconnection."""
        self._callbacks.append(callback)

    async def announce(self) -> None:
        """Run the on_connected callbacks."""
        for callback in self._callbacks:
            await callback()

    def _check(self) -> None:
        if not self._hub.up:
            raise UnavailableError("The message bus does not answer.")

    async def publish(self, subject: str, message: Message) -> None:
        """Tell whoever listens. Raises UnavailableError when the hub is cut."""
        self._check()
        for one in self._hub.receivers(subject):
            one.waiting.put_nowait((subject, message.encode()))

    async def request(self, subject: str, message: Message, answer: type[M], timeout: float = 5.0) -> M:
        """Ask and wait up to *timeout* seconds."""
        self._check()
        receivers = self._hub.receivers(subject)
        if not receivers:
            raise UnavailableError("Nobody answers for this just now.", details=f"({subject})")
        try:
            async with asyncio.timeout(timeout):
                data = await receivers[0].raw(subject, message.encode())
        except TimeoutError as error:
            raise UnavailableError("The answer did not come in time.", details=f"({subject})") from error
        return decode_answer(data or b"{}", answer)

    async def serve(self, subject: str, kind: type[M], handler: Answerer[M], queue: str = "") -> Subscription:
        """Answer requests."""

        async def raw(_subject: str, data: bytes) -> bytes:
            try:
                reply = await handler(kind.model_validate_json(data))
            except SitewrightError as error:
                reply = to_failure(error)
            except Exception:
                log.exception("bus.handler_failed", extra={"subject": subject})
                reply = to_failure(UnavailableError("Something went wrong inside; the log has the details."))
            return reply.encode()

        return self._listen(subject, queue, raw)

    async def subscribe(self, subject: str, kind: type[M], handler: Listener[M]) -> Subscription:
        """Hear messages one after another in order."""

        async def raw(actual: str, data: bytes) -> None:
            try:
                await handler(actual, kind.model_validate_json(data))
            except Exception:
                log.exception("bus.handler_failed", extra={"subject": subject})

        return self._listen(subject, "", raw)

    def _listen(self, subject: str, queue: str, raw: Callable[[str, bytes], Any]) -> Subscription:
        one = _Listening(self._hub, subject, queue, raw)

        async def work() -> None:
            while True:
                actual, data = await one.waiting.get()
                await raw(actual, data)

        one.worker = asyncio.create_task(work())
        self._hub.listening.append(one)
        self._own.append(one)
        return one

    async def close(self) -> None:
        """Leave the hub."""
        for one in self._own:
            await one.close()
        if self in self._hub.buses:
            self._hub.buses.remove(self)
