"""The HTTP server of the manager process: says when it is ready, and leaves nobody without an answer when it ends."""

from __future__ import annotations

import asyncio
import socket

import uvicorn

from sitewright.system.readiness import say_ready

LAST_WORDS_SECONDS = 0.1
"""Whoever has connected just before the end has not said yet what they want; a request on a unix socket follows within a millisecond."""


class Server(uvicorn.Server):
    """uvicorn closes connections that have not asked anything yet; here they get a moment to do so. New ones wait in the socket, which a
    successor listens on too."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets=sockets)
        say_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new connection, and end when those that are there have been answered."""
        for server in self.servers:
            server.close()
        await asyncio.sleep(LAST_WORDS_SECONDS)
        await super().shutdown(sockets=sockets)
