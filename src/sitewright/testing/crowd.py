"""A crowd of visitors on kept connections: so many requests a second until told to stop, every answer looked at and counted."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from sitewright.testing.visitor import VisitedSite

ANSWER_SECONDS = 30.0
TURNS_A_CONNECTION = 50
"""A connection is given up after so many requests, so that new ones are made all the time too."""


@dataclass(frozen=True)
class Errand:
    """What every visitor of a crowd asks for, and what is a good answer: status and body."""

    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    good: Callable[[int, str], bool] = lambda status, _body: status == 200


@dataclass
class Crowd:
    """``rate`` requests a second over ``connections`` connections. ``bodies`` counts the answers by their text."""

    site: VisitedSite
    rate: float = 200.0
    connections: int = 12
    errand: Errand = field(default_factory=Errand)
    failures: list[str] = field(default_factory=list)
    bodies: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    slowest: float = 0.0
    """Seconds of the slowest answer."""
    _since: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=2 * ANSWER_SECONDS)

    def go_on(self, answers: int = 0, *, until: Callable[[], bool] = lambda: True, seconds: float = 60.0) -> None:
        """Let them go on for so many more answers and until that is true. Raises AssertionError after *seconds*."""
        enough, deadline = self.answered + answers, time.monotonic() + seconds
        while self.answered < enough or not until():
            assert time.monotonic() < deadline, f"{self.told()} It did not come true in {seconds:.0f} s."
            time.sleep(0.02)

    def forget(self) -> None:
        """Count the bodies anew: of requests that begin from now on."""
        self._since = time.monotonic()
        self.bodies = Counter()

    def told(self) -> str:
        """What came of it, in a sentence."""
        slowest = f"the slowest {self.slowest * 1000:.0f} ms"
        first = f"; the first: {self.failures[0]}" if self.failures else ""
        return f"{self.answered} requests, {len(self.failures)} failed, {slowest}{first}."

    def all_answered(self, tell: Callable[[str], None], what: str) -> None:
        """*tell* what came of it while *what* was done; AssertionError when a request failed."""
        tell(f"{self.site.name}, {what}: {self.told()}")
        assert self.failures == []

    async def _all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self.connections):
                group.create_task(self._visitor(number))

    async def _visitor(self, number: int) -> None:
        pause = self.connections / self.rate
        due = time.monotonic() + pause * number / self.connections
        line: Line | None = None
        turns = number
        while not self._over.is_set():
            await asyncio.sleep(max(due - time.monotonic(), 0))
            due = max(due + pause, time.monotonic() - pause)
            turns += 1
            if line is not None and turns % TURNS_A_CONNECTION == 0:
                line = line.kept(stays=False)
            line = await self._once(line)
        if line is not None:
            line.close()

    async def _once(self, line: Line | None) -> Line | None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                line = line or await Line.open(self.site.port)
                status, body, stays = await line.ask(self.site.authority, self.errand)
        except (OSError, EOFError, ValueError, asyncio.IncompleteReadError) as error:
            self._fail(f"{type(error).__name__} {error}")
            return line.kept(stays=False) if line is not None else None
        finally:
            self.answered += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
        if began >= self._since:
            self.bodies[body] += 1
        if not self.errand.good(status, body):
            self._fail(f"{status} {body[:200]!r}")
        return line.kept(stays=stays)

    def _fail(self, why: str) -> None:
        self.failures.append(f"after {time.monotonic() - self._began:.2f} s: {why}")


class Line:
    """One connection that speaks HTTP/1.1."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Self:
        """To a port of loopback. Raises OSError."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def close(self) -> None:
        """Hang up."""
        self._writer.close()

    def kept(self, *, stays: bool) -> Line | None:
        """The line when it stays; hangs up otherwise."""
        if not stays:
            self.close()
        return self if stays else None

    async def ask(self, authority: str, errand: Errand) -> tuple[int, str, bool]:
        """GET; status, body, and whether the connection stays. Raises OSError, EOFError or ValueError when there is no whole answer."""
        headers = {"Host": authority, **errand.headers}
        lines = [f"GET {errand.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split(" ")[1])
        told = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        if told.get("transfer-encoding") == "chunked":
            body = await self._chunks()
        else:
            body = await self._reader.readexactly(int(told["content-length"]))
        return status, body.decode("utf-8", "replace"), told.get("connection", "").lower() != "close"

    async def _chunks(self) -> bytes:
        body = b""
        while size := int((await self._reader.readline()).split(b";")[0], 16):
            body += await self._reader.readexactly(size)
            await self._reader.readexactly(2)
        await self._reader.readline()
        return body
