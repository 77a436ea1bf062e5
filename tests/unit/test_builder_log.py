"""The build's log."""

from __future__ import annotations

from pathlib import Path

from sitewright.builder.log import MAX_BYTES, BuildLog
from sitewright.system.clock import FakeClock


def texts(path: Path) -> list[str]:
    return [line.partition(" ")[2] for line in path.read_text().splitlines()]


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


def test_colours_and_redrawn_lines_do_not_reach_the_log(tmp_path: Path) -> None:
    log = BuildLog(tmp_path / "log", FakeClock())
    log.feed(b"10%\r50%\r\x1b[32m100%\x1b[0m\r\nnext\x07\xff\n")
    log.close()
    assert texts(tmp_path / "log") == ["100%", "next\ufffd"]


def test_a_flood_is_cut_line_by_line_and_in_all(tmp_path: Path) -> None:
    log = BuildLog(tmp_path / "log", FakeClock())
    log.feed(b"x" * 10_000_000 + b"\n")
    for _ in range(4000):
        log.feed(b"y" * 1990 + b"\n")
    log.say("The build failed.")
    log.close()
    assert (tmp_path / "log").stat().st_size < MAX_BYTES + 200
    assert texts(tmp_path / "log")[-1].startswith("The log is full")
    assert all(len(text) < 2100 for text in texts(tmp_path / "log"))


def test_a_log_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    for text in ("one", "two"):
        log = BuildLog(tmp_path / "log", FakeClock())
        log.say(text)
        log.close()
    assert texts(tmp_path / "log") == ["one", "two"]
