"""A request's body, piece by piece, unpacked where git has packed it."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from sitewright.domain.limits import MIB

MOST_BYTES = 1100 * MIB
"""As the router's limit for the manager."""
MOST_UNPACKED_BYTES = 64 * MIB
"""git packs its questions only, never what it pushes: a body that unpacks to more is a bomb."""
PIECE_BYTES = 256 * 1024


class TooLargeError(Exception):
    """More was sent than is taken."""


class GoneError(Exception):
    """The client has left in the middle."""


class Body:
    """Iterate over it once. Raises TooLargeError, GoneError; zlib.error when it is damaged."""

    def __init__(self, receive: Callable[[], Awaitable[MutableMapping[str, Any]]], *, gzipped: bool) -> None:
        self._receive = receive
        self._unpack = zlib.decompressobj(16 + zlib.MAX_WBITS) if gzipped else None
        self._most = MOST_UNPACKED_BYTES if gzipped else MOST_BYTES
        self._seen = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Pieces of at most 256 KiB when they were packed, as they came when not."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                raise GoneError
            more = bool(message.get("more_body"))
            data: bytes = message.get("body", b"")
            if self._unpack is None:
                if data:
                    yield self._counted(data)
                continue
            while data:
                piece = self._unpack.decompress(data, PIECE_BYTES)
                data = self._unpack.unconsumed_tail
                if piece:
                    yield self._counted(piece)
                elif not data or self._unpack.eof:
                    break
        if self._unpack is not None and not self._unpack.eof:
            raise zlib.error("incomplete")

    async def gone(self) -> None:
        """After the whole body: wait until the client leaves. Raises GoneError then."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        raise GoneError

    def _counted(self, data: bytes) -> bytes:
        self._seen += len(data)
        if self._seen > self._most:
            raise TooLargeError(f"More than {self._most // MIB} MB were sent.")
        return data
