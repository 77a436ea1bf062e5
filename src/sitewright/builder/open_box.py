"""A box in which one of the platform's own scripts waits, after its first answer, for what to do next.

A box takes longer to make than what most of these scripts do in it. The commit of a static site is laid out and sealed in the same one,
with nothing of the tenant's run in between. The script reads what to do from a pipe with a name, in a folder that only this box sees; when
this process dies it reads the end, and its box ends with this process anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

from sitewright.engines.base import JobResult
from sitewright.system.accounts import is_root

NAME = "next"
"""Of the pipe, in the folder that both sides see."""
MAX_CAPTURED = 256 * 1024

Run = Callable[[Callable[[bytes], None]], Coroutine[None, None, JobResult]]
"""Run the script with its output handed to a function."""
Judge = Callable[[JobResult, bytes], None]
"""Raise when it failed; the bytes are what it said."""


class OpenBox:
    """One script. Whoever opens it closes it."""

    def __init__(self, folder: Path, uid: int, run: Run, judge: Judge) -> None:
        self._judge = judge
        self._said = bytearray()
        self._line = asyncio.Event()
        self._way = _pipe(folder / NAME, uid)
        self._work = asyncio.create_task(run(self._hear), name="open box")
        self._work.add_done_callback(self._ended)

    def _ended(self, work: asyncio.Task[JobResult]) -> None:
        if not work.cancelled():
            work.exception()  # whoever waits for it gets it; nobody may
        self._line.set()

    def _hear(self, data: bytes) -> None:
        if len(self._said) < MAX_CAPTURED:
            self._said.extend(data)
            if b"\n" in data:
                self._line.set()

    async def answer(self) -> str:
        """Its first line. Raises what the judge does when it ended without one."""
        await self._line.wait()
        if self._work.done():
            self._end(self._work.result())
        return bytes(self._said).partition(b"\n")[0].decode("utf-8", "replace")

    async def go_on(self, words: Sequence[str]) -> str:
        """Tell it what to do, and return all that it says until its end. Raises what the judge does."""
        told = "\0".join(words).encode().hex().encode() + b"\n"
        if os.write(self._way, told) != len(told):
            raise OSError("a box takes nothing in")
        self._end(await asyncio.shield(self._work))
        return self._said.decode("utf-8", "replace").partition("\n")[2]

    def _end(self, result: JobResult) -> None:
        self._judge(result, bytes(self._said))

    def leave(self) -> None:
        """Nothing more is to be done in it: it ends by itself."""
        with contextlib.suppress(OSError):
            os.write(self._way, b"\n")

    async def close(self) -> None:
        """Nothing of it runs when this returns. Safe to call twice."""
        if self._way >= 0:
            self.leave()
            try:
                await asyncio.wait({self._work})
            finally:
                self._work.cancel()
                await asyncio.wait({self._work})
                os.close(self._way)
                self._way = -1


def _pipe(path: Path, uid: int) -> int:
    """Made before anybody is in the folder; both ends are held, so that neither side has to wait for the other."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    os.mkfifo(path, 0o600)
    if is_root():
        os.chown(path, uid, uid, follow_symlinks=False)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
