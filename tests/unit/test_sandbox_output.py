"""The output reader: everything of a quiet program, a bounded share of a loud one."""

from __future__ import annotations

import asyncio
import os

from sitewright.engines.sandbox.output import OutputReader
from sitewright.system.clock import FakeClock


def reader_on_pipe(rate: int) -> tuple[OutputReader, int, bytearray]:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    got = bytearray()
    return OutputReader("x", reading, rate, lambda _name, data: got.extend(data), FakeClock()), writing, got


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
    assert lines[4:] == ["… 96 lines dropped: more than 10 bytes a second"]


async def test_closing_twice_is_fine() -> None:
    reader, writing, _ = reader_on_pipe(10)
    reader.close()
    reader.close()
    os.close(writing)
