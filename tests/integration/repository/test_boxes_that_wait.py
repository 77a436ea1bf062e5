"""A script that waits after its first answer, and whoever tells it what to do: without a box around it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from sitewright.builder.open_box import NAME, OpenBox
from sitewright.engines.base import Exit, JobResult
from sitewright.errors import BuildError

WAITS = """import sys
print("first", flush=True)
words = bytes.fromhex(open(sys.argv[1]).readline())
print("then", words.decode().split(chr(0))) if words else None
"""


def running(folder: Path, code: str) -> Callable[[Callable[[bytes], None]], Coroutine[None, None, JobResult]]:
    async def run(hear: Callable[[bytes], None]) -> JobResult:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, str(folder / NAME), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        assert process.stdout is not None
        try:
            while data := await process.stdout.read(1000):
                hear(data)
            return JobResult(Exit(await process.wait()), 0.0)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    return run


def judge(result: JobResult, said: bytes) -> None:
    if result.exit.code:
        raise BuildError("It failed.", details=said.decode())


def opened(folder: Path, code: str = WAITS) -> OpenBox:
    return OpenBox(folder, os.getuid(), running(folder, code), judge)


async def test_a_box_that_waits_is_told_what_to_do_next(tmp_path: Path) -> None:
    box = opened(tmp_path)
    assert await asyncio.wait_for(box.answer(), 30) == "first"
    assert await asyncio.wait_for(box.go_on(("a b", "", "ü\nx")), 30) == "then ['a b', '', 'ü\\nx']\n"
    await box.close()
    await box.close()


async def test_a_box_that_is_left_ends_by_itself(tmp_path: Path) -> None:
    box = opened(tmp_path)
    await asyncio.wait_for(box.answer(), 30)
    box.leave()
    await asyncio.wait_for(box.close(), 30)


async def test_a_box_that_fails_before_it_has_answered_is_judged(tmp_path: Path) -> None:
    box = opened(tmp_path, "import sys; sys.exit(3)")
    with pytest.raises(BuildError, match="It failed"):
        await asyncio.wait_for(box.answer(), 30)
    await box.close()


async def test_whoever_is_broken_off_leaves_nothing_running(tmp_path: Path) -> None:
    box = opened(tmp_path, "import time; print('first', flush=True); time.sleep(600)")
    await asyncio.wait_for(box.answer(), 30)
    closing = asyncio.create_task(box.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait({closing}, timeout=30)
    assert closing.cancelled()
