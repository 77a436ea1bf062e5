"""The manager's end of the bus: one thread with an event loop of its own, so that sync code and async views can both use it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, TypeVar

from sitewright.bus.base import Bus
from sitewright.bus.messages import METHODS, Message
from sitewright.bus.subjects import rpc
from sitewright.errors import UnavailableError

log = logging.getLogger(__name__)

T = TypeVar("T")
A = TypeVar("A", bound=Message)

START_SECONDS = 10.0
MARGIN_SECONDS = 5.0


class BusThread:
    """Holds a Bus and keeps it in its own loop. ``make`` is called in that loop; ``prepare`` then subscribes."""

    def __init__(self, make: Callable[[], Bus], prepare: Callable[[Bus], Awaitable[None]] | None = None) -> None:
        self._make = make
        self._prepare = prepare
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bus", daemon=True)
        self._bus: Bus | None = None

    def start(self) -> None:
        """Begin; returns when subscriptions are made, whether or not the other side can be reached yet."""
        self._thread.start()
        self.run(self._open(), START_SECONDS)

    async def _open(self) -> None:
        self._bus = self._make()
        if self._prepare is not None:
            await self._prepare(self._bus)

    @property
    def bus(self) -> Bus:
        """The bus itself; use it only inside coroutines given to ``run`` or ``join``. Raises UnavailableError before start."""
        if self._bus is None:
            raise UnavailableError("The message bus is not open yet.")
        return self._bus

    @property
    def connected(self) -> bool:
        """Whether nodes can be reached."""
        return self._bus is not None and self._bus.connected

    def spawn(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start *work* in the bus's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T], timeout: float) -> T:
        """From sync code: run *work* in the bus's loop and wait at most *timeout* seconds. Raises UnavailableError."""
        future = self.spawn(work)
        try:
            return future.result(timeout)
        except FutureTimeout as error:
            future.cancel()
            raise UnavailableError("The node did not answer in time.") from error

    async def join(self, work: Coroutine[Any, Any, T]) -> T:
        """From another event loop: run *work* in the bus's loop and wait for it; cancelling the wait cancels the work."""
        return await asyncio.wrap_future(self.spawn(work))

    async def _wind_down(self) -> None:
        if self._bus is not None:
            await self._bus.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def stop(self) -> None:
        """Leave the bus and end the thread."""
        try:
            self.run(self._wind_down(), MARGIN_SECONDS)
        except UnavailableError:
            log.warning("bus.close_timed_out")
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(MARGIN_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()


class NodeClient:
    """Asks one node. Every method of sitewright.bus.messages.METHODS goes through ``ask`` (sync) or ``ask_soon`` (async)."""

    def __init__(self, thread: BusThread | None, node: str) -> None:
        self._thread = thread
        self.node = node

    @property
    def thread(self) -> BusThread:
        """The process's bus. Raises UnavailableError in a process that has none."""
        if self._thread is None:
            raise UnavailableError("This process does not talk to nodes.")
        return self._thread

    def ask(self, method: str, question: Message, answer: type[A], timeout: float = 5.0) -> A:
        """The node's answer, for sync code. Raises UnavailableError or the error that the node raised."""
        return self.thread.run(self._request(method, question, answer, timeout), timeout + MARGIN_SECONDS)

    async def ask_soon(self, method: str, question: Message, answer: type[A], timeout: float = 5.0) -> A:
        """The node's answer, for async code."""
        return await self.thread.join(self._request(method, question, answer, timeout))

    async def ask_here(self, method: str, question: Message, answer: type[A], timeout: float = 5.0) -> A:
        """The node's answer, for code that runs in the bus's own loop already."""
        return await self._request(method, question, answer, timeout)

    async def _request(self, method: str, question: Message, answer: type[A], timeout: float) -> A:
        asked, answered = METHODS[method]
        if not isinstance(question, asked) or answer is not answered:
            raise TypeError(f"{method} takes {asked.__name__} and answers {answered.__name__}")
        return await self.thread.bus.request(rpc(self.node, method), question, answer, timeout)
