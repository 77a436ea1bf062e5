"""Waiting for a condition, with a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(condition: Callable[[], Awaitable[T | None]], seconds: float = 10.0, every: float = 0.02) -> T:
    """The first true answer of *condition*, asked every *every* seconds. Raises AssertionError after *seconds*."""
    deadline = time.monotonic() + seconds
    while True:
        answer = await condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"It did not come true within {seconds:.0f} s: {condition}"
        await asyncio.sleep(every)
