"""The build's log."""

from __future__ import annotations

from pathlib import Path

import pytest

from sitewright.builder.log import MAX_BYTES, BuildLog
from sitewright.builder.secrets import Masker
from sitewright.system.clock import FakeClock


def texts(path: Path) -> list[str]:
    return [line.partition(" ")[2] for line in path.read_text().splitlines()]


def logged(folder: Path, *pieces: bytes, secrets: tuple[str, ...] = ()) -> list[str]:
    log = BuildLog(folder / "log", FakeClock(), Masker(secrets))
    for piece in pieces:
        log.feed(piece)
    log.close()
    return texts(folder / "log")


def test_each_line_has_its_time(tmp_path: Path) -> None:
    clock = FakeClock(1_800_000_000.25)
    log = BuildLog(tmp_path / "log", clock)
    log.say("Found requirements.txt")
    clock.advance(1)
    log.feed(b"two\nthr")
    log.feed(b"ee\nlast")
    log.close()
    assert (tmp_path / "log").read_text().splitlines() == [
        "1800000000.250 Found requirements.txt",
        "1800000001.250 two",
        "1800000001.250 three",
        "1800000001.250 last",
    ]


def test_a_redrawn_line_is_kept_in_its_last_state_with_its_colours(tmp_path: Path) -> None:
    assert logged(tmp_path, b"10%\r50%\r\x1b[32m100%\x1b[0m\r\nnext\x07\xff\n") == ["\x1b[32m100%\x1b[0m", "next\ufffd"]


def test_a_spinner_that_wipes_itself_leaves_what_it_last_said(tmp_path: Path) -> None:
    spinner = b"\xe2\xa0\x99\x1b[1G\x1b[0K\xe2\xa0\xb9 added 3 packages\x1b[1G\x1b[0K\n"
    assert logged(tmp_path, spinner) == ["⠹ added 3 packages"]


@pytest.mark.parametrize(
    "sequence",
    [
        b"\x1b[2J",
        b"\x1b[1;1H",
        b"\x1b]0;a title\x07",
        b"\x1b]8;;http://elsewhere\x1b\\",
        b"\x1bP1$q\x1b\\",
        b"\x1b(0",
        b"\x1bc",
        b"\x1b[?25l",
        b"\x1b[6n",
        b"\xc2\x9b31m"[:2],
        b"\x08",
        b"\xe2\x80\xae",
    ],
)
def test_no_other_escape_sequence_reaches_the_log(tmp_path: Path, sequence: bytes) -> None:
    assert logged(tmp_path, b"before " + sequence + b"after\n") == ["before after"]


def test_an_escape_sequence_that_never_ends_is_dropped(tmp_path: Path) -> None:
    assert logged(tmp_path, b"a\x1b[31\nb\x1b\nc\x1b]0;title\n") == ["a", "b", "c"]


def test_a_colour_that_goes_on_is_set_again_on_each_line(tmp_path: Path) -> None:
    assert logged(tmp_path, b"\x1b[1m\x1b[31mone\ntwo\x1b[0m three\nfour\n") == [
        "\x1b[1m\x1b[31mone\x1b[0m",
        "\x1b[1m\x1b[31mtwo\x1b[0m three",
        "four",
    ]


def test_what_errors_are_told_by_has_no_colours(tmp_path: Path) -> None:
    log = BuildLog(tmp_path / "log", FakeClock())
    log.feed(b"\x1b[31mError: no\x1b[0m\n")
    assert list(log.tail) == ["Error: no"]
    log.close()


def test_a_long_log_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    log = BuildLog(tmp_path / "log", FakeClock())
    log.feed(b"the first\n" + b"x" * 10_000_000 + b"\n")
    for number in range(5000):
        log.feed(f"{number:06} ".encode() + b"y" * 1980 + b"\n")
    log.flush()
    assert list(log.tail)[-1].startswith("004999")
    log.say("The build failed.")
    log.close()
    lines = texts(tmp_path / "log")
    assert (tmp_path / "log").stat().st_size <= MAX_BYTES
    assert lines[0] == "the first"
    assert lines[-1] == "The build failed."
    assert sum("lines are left out here" in line for line in lines) == 1
    assert all(len(text) < 2100 for text in lines)


def test_a_log_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    for text in ("one", "two"):
        log = BuildLog(tmp_path / "log", FakeClock())
        log.say(text)
        log.close()
    assert texts(tmp_path / "log") == ["one", "two"]
