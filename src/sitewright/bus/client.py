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
from sitewright.bus.messages import Message
from sitewright.bus.nats_library import Client, Msg, NoRespondersError, nats
from sitewright.bus.nats_library import Error as NatsError
from sitewright.bus.nats_library import Subscription as NatsSubscription
from sitewright.errors import InvalidValueError, SitewrightError, UnavailableError

log = logging.getLogger(__name__)

RECONNECT_SECONDS = 0.25
MAX_WAITING_REQUESTS = 256
"""Requests answered at a time by one subscription; more wait in the client's own queue."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to reach the bus as whom. ``name`` is the node's name or `manager`; it also prefixes the inbox."""

    address: str
    name: str
    user: str
    password: str


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

    def __init__(self, bus: NatsBus, subject: str, queue: str, callback: Callable[[Msg], Awaitable[None]]) -> None:
        self.bus = bus
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
            with contextlib.suppress(NatsError):
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
            raise UnavailableError("The message bus does not answer.", resolution="It is restarted by itself; try again in a few seconds.")
        return self._client

    async def publish(self, subject: str, message: Message) -> None:
        """Tell whoever listens. Raises UnavailableError."""
        try:
            await self._live().publish(subject, message.encode())
        except NatsError as error:
            raise UnavailableError("The message could not be sent.", details=str(error)) from error

    async def request(self, subject: str, message: Message, answer: type[M], timeout: float = 5.0) -> M:
        """Ask and wait up to *timeout* seconds. Raises UnavailableError, or the error that the other side raised."""
        try:
            reply = await self._live().request(subject, message.encode(), timeout=timeout)
        except NoRespondersError as error:
            raise UnavailableError(
                "Nobody answers for this just now.", details=f"({subject})", resolution="Try again in a few seconds."
            ) from error
        except (NatsError, TimeoutError) as error:
            raise UnavailableError(
                "The answer did not come in time.", details=f"({subject})", resolution="Try again in a few seconds."
            ) from error
        return decode_answer(reply.data, answer)

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

        return await self._listen(subject, queue, accept)

    async def subscribe(self, subject: str, kind: type[M], handler: Listener[M]) -> Subscription:
        """Hear messages one after another in order."""

        async def hear(message: Msg) -> None:
            try:
                await handler(message.subject, kind.model_validate_json(message.data))
            except Exception:
                log.exception("bus.handler_failed", extra={"subject": subject})

        return await self._listen(subject, "", hear)

    async def _listen(self, subject: str, queue: str, callback: Callable[[Msg], Awaitable[None]]) -> Subscription:
        handle = _NatsSubscriptionHandle(self, subject, queue, callback)
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
        """Leave; requests under way are cut off."""
        if self._connecting is not None:
            self._connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._connecting
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            with contextlib.suppress(NatsError):
                await self._client.close()
