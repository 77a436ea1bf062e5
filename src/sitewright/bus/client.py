"""The bus over NATS. Connects outward only, keeps trying for ever, and says Unavailable meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from sitewright.bus.base import Answerer, Listener, M, Subscription, decode_answer, to_failure
from sitewright.bus.messages import REPEATABLE, Message
from sitewright.bus.nats_library import Client, Msg, NoRespondersError, nats
from sitewright.bus.nats_library import Error as NatsError
from sitewright.bus.nats_library import Subscription as NatsSubscription
from sitewright.errors import InvalidValueError, SitewrightError, UnavailableError

log = logging.getLogger(__name__)

RECONNECT_SECONDS = 0.25
AGAIN_SECONDS = 0.05
"""How soon a request that reached nobody is tried again."""
LEAVE_SECONDS = 0.5
"""How long answers under way may take when this side leaves; a question that waits for something new is cut off."""
MAX_WAITING_REQUESTS = 256
"""Requests answered at a time by one subscription; more wait in the client's own queue."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to reach the bus as whom. ``name`` is the node's name or `manager`; it also prefixes the inbox."""

    address: str
    name: str
    user: str
    password: str


class _UnheardError(UnavailableError):
    """Nobody has the request, or asking once more does no harm."""


async def _settle(client: Client) -> None:
    """Return once the server knows of every subscription made so far.

    One flush is not enough: nats-py writes its PING straight to the socket, past subscriptions that its flusher still holds.
    The answer to the first proves that the flusher has run, the answer to the second that the server has read what it sent.
    """
    with contextlib.suppress(NatsError, TimeoutError):
        await client.flush()
        await client.flush()


class _NatsSubscriptionHandle:
    """A subscription that may have to wait for the first connection."""

    def __init__(self, bus: NatsBus, subject: str, queue: str, callback: Callable[[Msg], Awaitable[None]], *, drains: bool) -> None:
        """*drains*: what had come when it is closed is handled still."""
        self.bus = bus
        self.drains = drains
        self.subject = subject
        self.queue = queue
        self.callback = callback
        self.live: NatsSubscription | None = None

    async def activate(self, client: Client) -> None:
        self.live = await client.subscribe(self.subject, queue=self.queue, cb=self.callback)

    async def close(self) -> None:
        """Stop listening."""
        self.bus.forget(self)
        if self.live is not None:
            with contextlib.suppress(NatsError, TimeoutError):
                if self.drains and self.bus.connected:
                    await asyncio.wait_for(self.live.drain(), LEAVE_SECONDS)  # type: ignore[no-untyped-call]
                else:
                    await self.live.unsubscribe()


class NatsBus:
    """Keeps the contract of sitewright.bus.base.Bus over one NATS connection."""

    def __init__(self, credentials: Callable[[], Credentials]) -> None:
        """*credentials* is asked before each attempt to connect, since the address may change when the platform restarts."""
        self._credentials = credentials
        self._client: Client | None = None
        self._handles: list[_NatsSubscriptionHandle] = []
        self._callbacks: list[Callable[[], Awaitable[None]]] = []
        self._connecting: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._slots = asyncio.Semaphore(MAX_WAITING_REQUESTS)
        self._lost = asyncio.Event()
        """Set when the present connection is lost; the next one has its own."""

    def open(self) -> None:
        """Begin to connect in the background."""
        self._connecting = asyncio.create_task(self._connect_until_it_works(), name="bus-connect")

    @property
    def connected(self) -> bool:
        """Whether the server can be reached now."""
        return self._client is not None and self._client.is_connected

    def on_connected(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Call *callback* after each (re)connection."""
        self._callbacks.append(callback)

    async def _connect_until_it_works(self) -> None:
        while True:
            try:
                client = await self._connect()
                break
            except (OSError, NatsError, TimeoutError) as error:
                log.debug("bus.unreachable", extra={"reason": type(error).__name__})
                await asyncio.sleep(RECONNECT_SECONDS)
        self._client = client
        for handle in list(self._handles):
            await handle.activate(client)
        await _settle(client)
        await self._announce()

    async def _connect(self) -> Client:
        credentials = self._credentials()
        return await nats.connect(
            credentials.address,
            name=credentials.name,
            user=credentials.user,
            password=credentials.password,
            inbox_prefix=f"_INBOX.{credentials.name}".encode(),
            allow_reconnect=True,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_SECONDS,
            connect_timeout=2,
            ping_interval=10,
            max_outstanding_pings=2,
            reconnected_cb=self._announce,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnected,
        )

    async def _announce(self) -> None:
        log.info("bus.connected")
        for callback in self._callbacks:
            self._spawn(callback())

    async def _on_error(self, error: Exception) -> None:
        log.warning("bus.error", extra={"reason": str(error) or type(error).__name__})

    async def _on_disconnected(self) -> None:
        log.info("bus.disconnected")
        self._lost.set()
        self._lost = asyncio.Event()

    def _spawn(self, work: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("bus.handler_failed", exc_info=task.exception())

    def _live(self) -> Client:
        if self._client is None or not self._client.is_connected:
            raise _UnheardError("The message bus does not answer.", resolution="It is restarted by itself; try again in a few seconds.")
        return self._client

    async def publish(self, subject: str, message: Message) -> None:
        """Tell whoever listens. Raises UnavailableError."""
        try:
            await self._live().publish(subject, message.encode())
        except NatsError as error:
            raise UnavailableError("The message could not be sent.", details=str(error)) from error

    async def request(self, subject: str, message: Message, answer: type[M], timeout: float = 5.0) -> M:
        """Ask and wait up to *timeout* seconds. Raises UnavailableError, or the error that the other side raised.

        The wait is for the connection and for somebody who listens too: each is missing for a moment while the platform restarts.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            try:
                reply = await self._ask(subject, message.encode(), deadline - loop.time())
            except _UnheardError as error:
                if loop.time() + AGAIN_SECONDS >= deadline:
                    raise UnavailableError(error.message, details=error.details, resolution=error.resolution) from error
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                return decode_answer(reply.data, answer)

    async def _ask(self, subject: str, data: bytes, seconds: float) -> Msg:
        """One attempt. Raises _UnheardError when another one may be made, else UnavailableError."""
        client, lost = self._live(), asyncio.ensure_future(self._lost.wait())
        asking = asyncio.ensure_future(client.request(subject, data, timeout=seconds))
        again, details = "Try again in a few seconds.", f"({subject})"
        try:
            await asyncio.wait({asking, lost}, return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                return asking.result()
        except NoRespondersError as error:
            raise _UnheardError("Nobody answers for this just now.", details=details, resolution=again) from error
        except (NatsError, TimeoutError) as error:
            raise UnavailableError("The answer did not come in time.", details=details, resolution=again) from error
        finally:
            asking.cancel()
            lost.cancel()
        harmless = subject.partition(".")[2].partition(".")[2] in REPEATABLE
        kind = _UnheardError if harmless else UnavailableError
        raise kind("The connection was lost before the answer came.", details=details, resolution=again)

    async def serve(self, subject: str, kind: type[M], handler: Answerer[M], queue: str = "") -> Subscription:
        """Answer requests, several at a time."""

        async def answer(message: Msg) -> None:
            async with self._slots:
                try:
                    reply = await handler(kind.model_validate_json(message.data))
                except SitewrightError as error:
                    reply = to_failure(error)
                except ValidationError as error:
                    log.warning("bus.bad_message", extra={"subject": subject, "errors": error.error_count()})
                    reply = to_failure(InvalidValueError("The message was not understood.", details=f"({subject})"))
                except Exception:
                    log.exception("bus.handler_failed", extra={"subject": subject})
                    reply = to_failure(UnavailableError("Something went wrong inside; the log has the details."))
                with contextlib.suppress(NatsError):
                    await message.respond(reply.encode())

        async def accept(message: Msg) -> None:
            self._spawn(answer(message))

        return await self._listen(_NatsSubscriptionHandle(self, subject, queue, accept, drains=True))

    async def subscribe(self, subject: str, kind: type[M], handler: Listener[M]) -> Subscription:
        """Hear messages one after another in order."""

        async def hear(message: Msg) -> None:
            try:
                await handler(message.subject, kind.model_validate_json(message.data))
            except Exception:
                log.exception("bus.handler_failed", extra={"subject": subject})

        return await self._listen(_NatsSubscriptionHandle(self, subject, "", hear, drains=False))

    async def _listen(self, handle: _NatsSubscriptionHandle) -> Subscription:
        self._handles.append(handle)
        if self._client is not None:
            await handle.activate(self._client)
            if self._client.is_connected:
                await _settle(self._client)
        return handle

    def forget(self, handle: _NatsSubscriptionHandle) -> None:
        """Do not bring *handle* back at the next connection."""
        if handle in self._handles:
            self._handles.remove(handle)

    async def close(self) -> None:
        """Leave; answers under way get a moment, then they are cut off."""
        if self._connecting is not None:
            self._connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._connecting
        if self._tasks and self.connected:
            await asyncio.wait(self._tasks, timeout=LEAVE_SECONDS)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            with contextlib.suppress(NatsError):
                await self._client.close()
