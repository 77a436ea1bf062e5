"""Secrets are taken out of a build's log, however they are written and wherever lines and pieces end."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitewright.builder.log import BuildLog
from sitewright.builder.secrets import MASK, Masker, is_recognisable, searched, values_of
from sitewright.system.clock import FakeClock

SECRET = "s3cr=t/Pa&s+word ünd"
KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nBAQEFAASCBKcwggSjAgEAAoIB\n-----END KEY-----\n"


def logged(folder: Path, pieces: list[bytes], *secrets: str) -> str:
    log = BuildLog(folder / "log", FakeClock(), Masker(secrets))
    for piece in pieces:
        log.feed(piece)
    log.close()
    return (folder / "log").read_text()


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        quote(SECRET, safe=""),
        json.dumps(SECRET)[1:-1],
        SECRET.encode().hex(),
        f"postgres://alice:{quote(SECRET, safe='')}@host/db",
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(f"alice:{SECRET}".encode()).decode(),
        base64.b64encode(f"xy{SECRET}!".encode()).decode(),
    ],
)
def test_a_secret_is_masked_however_it_is_written(tmp_path: Path, written: str) -> None:
    text = logged(tmp_path, [f"value: {written}.\n".encode()], SECRET)
    assert written[len(written) // 2 - 4 : len(written) // 2 + 4] not in text
    assert MASK in text


@given(st.lists(st.integers(1, 60), max_size=6))
def test_pieces_of_output_may_end_anywhere(tmp_path_factory: pytest.TempPathFactory, cuts: list[int]) -> None:
    data = f"before {SECRET} between {SECRET} after\n".encode()
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    pieces = [data[a:b] for a, b in pairwise(places)]
    text = logged(tmp_path_factory.mktemp("log"), pieces, SECRET)
    assert text.partition(" ")[2] == f"before {MASK} between {MASK} after\n"


@pytest.mark.parametrize("width", [4, 5, 7, 9, 19])
def test_a_secret_that_is_wrapped_over_lines_is_masked(tmp_path: Path, width: int) -> None:
    secret = "Zm9vYmFyYmF6-42-quux"
    wrapped = "".join(f"{secret[at : at + width]}\n" for at in range(0, len(secret), width))
    text = logged(tmp_path, [f"first\n{wrapped}last\n".encode()], secret)
    assert not any(secret[at : at + 5] in text for at in range(len(secret) - 5))
    assert text.splitlines()[-1].endswith("last")


def test_a_key_of_several_lines_is_masked_as_a_whole_and_in_parts(tmp_path: Path) -> None:
    text = logged(tmp_path, [KEY.encode(), b"and MIIEvQIBADANBgkqhkiG9w0 again\n"], KEY)
    assert "MIIEvQ" not in text
    assert "BAQEFAAS" not in text


def test_a_line_that_only_looks_like_a_beginning_is_shown(tmp_path: Path) -> None:
    text = logged(tmp_path, [b"a swor\nd\n"], "swordfish")
    assert [line.partition(" ")[2] for line in text.splitlines()] == ["a swor", "d"]


def test_what_the_error_tells_is_masked_too(tmp_path: Path) -> None:
    log = BuildLog(tmp_path / "log", FakeClock(), Masker([SECRET]))
    log.feed(f"cannot use {SECRET}".encode())
    log.flush()
    assert list(log.tail) == [f"cannot use {MASK}"]
    log.close()


def test_only_secrets_with_a_value_count() -> None:
    env = (("A", "one"), ("B", " "), ("C", "three"))
    assert values_of(env, ("B", "C", "D")) == {"C": "three"}


@pytest.mark.parametrize(("value", "found"), [("postgres", False), ("12345678", False), ("Secret", False), ("p4ssw0rd", True)])
def test_words_that_are_everywhere_are_not_looked_for_in_files(value: str, found: bool) -> None:
    assert is_recognisable(value) is found
    assert bool(searched({"X": value})) is found
