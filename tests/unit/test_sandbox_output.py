"""The output reader: everything of a quiet program, a bounded share of a loud one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from sitewright.engines.sandbox.output import OutputReader
from sitewright.system.clock import FakeClock


def reader_on_pipe(rate: int) -> tuple[OutputReader, int, bytearray]:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    got = bytearray()
    return OutputReader("x", reading, rate, lambda _name, data: got.extend(data), FakeClock()), writing, got


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_what_fits_arrives_whole_and_the_end_is_seen() -> None:
    reader, writing, got = reader_on_pipe(1000)
    os.write(writing, b"one\ntwo")
    os.close(writing)
    await asyncio.wait_for(reader.ended.wait(), 5)
    assert bytes(got) == b"one\ntwo"


async def test_too_much_is_cut_at_a_line_and_counted() -> None:
    reader, writing, got = reader_on_pipe(10)
    os.write(writing, b"123456789\n" * 100)
    os.close(writing)
    await asyncio.wait_for(reader.ended.wait(), 5)
    lines = got.decode().splitlines()
    assert lines[:4] == ["123456789"] * 4
    assert lines[4:] == ["… lines dropped (960 bytes): more than 10 bytes a second"]
    assert reader.dropped_bytes == 960


async def test_after_a_cut_it_goes_on_with_a_whole_line() -> None:
    clock = FakeClock()
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    got = bytearray()
    reader = OutputReader("x", reading, 100, lambda _name, data: got.extend(data), clock)
    os.write(writing, b"begun\n" + b"x" * 1000)
    await until(lambda: reader.dropped_bytes > 0)
    clock.advance(10)
    os.write(writing, b"the rest of it\na whole line\n")
    os.close(writing)
    await asyncio.wait_for(reader.ended.wait(), 5)
    assert [line for line in got.decode().splitlines() if "dropped" not in line] == ["begun", "a whole line"]


async def test_the_last_words_of_a_flood_are_kept() -> None:
    reader, writing, got = reader_on_pipe(10)
    os.write(writing, b"flood\n" * 5000 + b"Traceback: no such table\n")
    reader.drain()
    os.close(writing)
    assert got.decode().endswith("\nTraceback: no such table\n")
    assert "lines dropped" in got.decode()
    assert len(got) < 5000


async def test_a_flood_is_read_a_few_times_a_second_and_its_writer_waits() -> None:
    reader, writing, _ = reader_on_pipe(1000)
    os.set_blocking(writing, False)
    written, end = 0, asyncio.get_running_loop().time() + 1.0
    while asyncio.get_running_loop().time() < end:
        try:
            written += os.write(writing, b"flood\n" * 1000)
        except BlockingIOError:
            await asyncio.sleep(0.001)
    reader.close()
    os.close(writing)
    assert written < 12 * 1024 * 1024


async def test_closing_twice_is_fine() -> None:
    reader, writing, _ = reader_on_pipe(10)
    reader.close()
    reader.close()
    os.close(writing)
