"""The contract of the bus. Two implementations keep it: NATS (client.py) and an in-memory twin (memory.py)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from sitewright import errors
from sitewright.bus.messages import Failure, Message

M = TypeVar("M", bound=Message)
Answerer = Callable[[M], Awaitable[Message]]
Listener = Callable[[str, M], Awaitable[None]]


class Subscription(Protocol):
    """Something that listens until it is closed."""

    async def close(self) -> None:
        """Stop listening; what is being handled is finished."""
        ...


class Bus(Protocol):
    """Request/reply and publish/subscribe. Delivery is at most once: what must not be lost is kept by its sender until it is answered."""

    @property
    def connected(self) -> bool:
        """Whether the other side can be reached now."""
        ...

    def on_connected(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Call *callback* after each (re)connection."""
        ...

    async def publish(self, subject: str, message: Message) -> None:
        """Tell whoever listens. Raises UnavailableError when not connected."""
        ...

    async def request(self, subject: str, message: Message, answer: type[M], timeout: float = 5.0) -> M:
        """Ask and wait up to *timeout* seconds. Raises UnavailableError, or the SitewrightError that the other side raised."""
        ...

    async def serve(self, subject: str, kind: type[M], handler: Answerer[M], queue: str = "") -> Subscription:
        """Answer requests, several at a time. One member of *queue* gets each; a SitewrightError raised by *handler* travels back."""
        ...

    async def subscribe(self, subject: str, kind: type[M], handler: Listener[M]) -> Subscription:
        """Hear messages one after another in order; *subject* may hold `*` and `>`."""
        ...

    async def close(self) -> None:
        """Leave."""
        ...


def _error_classes() -> dict[str, type[errors.SitewrightError]]:
    found: dict[str, type[errors.SitewrightError]] = {}
    waiting: list[type[errors.SitewrightError]] = [errors.SitewrightError]
    while waiting:
        cls = waiting.pop()
        found.setdefault(cls.code, cls)
        waiting.extend(cls.__subclasses__())
    return found


def to_failure(error: errors.SitewrightError) -> Failure:
    """An error as an answer."""
    return Failure(code=error.code, message=error.message, details=error.details, resolution=error.resolution, permanent=error.permanent)


def to_error(failure: Failure) -> errors.SitewrightError:
    """The error that an answer stands for, of the same class where this process knows it."""
    cls = _error_classes().get(failure.code, errors.SitewrightError)
    error = cls(failure.message, details=failure.details, resolution=failure.resolution)
    error.code = failure.code
    error.permanent = failure.permanent
    return error


def decode_answer(data: bytes, kind: type[M]) -> M:
    """The answer in *data*. Raises the SitewrightError that it carries instead."""
    if b'"failure"' in data[:40] and json.loads(data).get("failure") is True:
        raise to_error(Failure.model_validate_json(data))
    return kind.model_validate_json(data)
