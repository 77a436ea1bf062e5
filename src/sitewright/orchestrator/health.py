"""Does an instance answer? A connection, or one small HTTP request, over its unix socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from sitewright.domain.processes import HealthCheck, Listen
from sitewright.engines.base import Engine
from sitewright.orchestrator.model import Instance

Prober = Callable[[Instance, str], Awaitable[bool]]
"""(instance, host name) → whether it answers."""

LONGEST_STATUS_LINE = 4096


async def http_status(socket: str, path: str, host: str, timeout: float) -> int:
    """The status that GET *path* answers with; 0 when there was no HTTP answer in time (seconds)."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: sitewright-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_unix_connection(socket, limit=LONGEST_STATUS_LINE)
            writer.write(request.encode())
            await writer.drain()
            line = await reader.readline()
    except (OSError, TimeoutError, ValueError):
        return 0
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                await writer.wait_closed()
    parts = line.split(maxsplit=2)
    return int(parts[1]) if len(parts) > 1 and parts[0].startswith(b"HTTP/1.") and parts[1].isdigit() else 0


def passes(health: HealthCheck, status: int) -> bool:
    """Whether an answer with that status is good: any when no path is named, 200–399 for a named one."""
    return 200 <= status < 400 if health.path else status > 0


class EngineProber:
    """Looks at instances of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def __call__(self, instance: Instance, host: str) -> bool:
        """Whether it answers. A starting one must speak HTTP; a ready one without a health path need only accept connections."""
        health = instance.health
        if not await self._engine.listening(instance.id):
            return False
        if instance.listen in (Listen.FASTCGI, Listen.NONE) or (instance.ready_since is not None and not health.path):
            return True
        status = await http_status(str(instance.socket), health.path or "/", host, health.timeout_seconds)
        return passes(health, status)
