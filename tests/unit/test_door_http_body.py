"""A request's body of git's, in pieces."""

from __future__ import annotations

import gzip
import zlib

import pytest

from sitewright.manager.doors import body
from sitewright.manager.doors.body import Body, GoneError, TooLargeError


def sending(*messages):
    left = list(messages)

    async def receive():
        return left.pop(0)

    return receive


def piece(data, *, more=True):
    return {"type": "http.request", "body": data, "more_body": more}


async def whole(one):
    return b"".join([part async for part in one])


async def test_pieces_come_as_they_were_sent():
    assert await whole(Body(sending(piece(b"a"), piece(b""), piece(b"b", more=False)), gzipped=False)) == b"ab"


async def test_a_packed_body_is_unpacked_wherever_it_was_cut():
    packed = gzip.compress(b"want " * 1000)
    for cut in (1, 5, len(packed) // 2, len(packed) - 1):
        assert await whole(Body(sending(piece(packed[:cut]), piece(packed[cut:], more=False)), gzipped=True)) == b"want " * 1000


async def test_what_is_no_gzip_is_damaged():
    with pytest.raises(zlib.error):
        await whole(Body(sending(piece(b"hello", more=False)), gzipped=True))


async def test_a_client_that_leaves_in_the_middle_is_not_taken_for_the_end():
    with pytest.raises(GoneError):
        await whole(Body(sending(piece(b"half"), {"type": "http.disconnect"}), gzipped=False))


async def test_there_is_a_most(monkeypatch):
    monkeypatch.setattr(body, "MOST_BYTES", 10)
    with pytest.raises(TooLargeError):
        await whole(Body(sending(piece(b"123456"), piece(b"123456", more=False)), gzipped=False))


async def test_a_bomb_is_never_unpacked_whole(monkeypatch):
    monkeypatch.setattr(body, "MOST_UNPACKED_BYTES", 1024 * 1024)
    bomb = Body(sending(piece(gzip.compress(b"0" * 20_000_000), more=False)), gzipped=True)
    seen = []
    with pytest.raises(TooLargeError):
        seen.extend([len(part) async for part in bomb])
    assert sum(seen) <= 1024 * 1024


async def test_half_a_packed_body_is_damaged():
    with pytest.raises(zlib.error):
        await whole(Body(sending(piece(gzip.compress(b"want " * 1000)[:-9], more=False)), gzipped=True))
