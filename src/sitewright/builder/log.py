"""The log of one build: a plain text file, each line `<epoch seconds> <text>`, bounded in size: its beginning and its end are kept.

Colours (SGR sequences) stay; every other escape sequence and control character goes, and a line that was redrawn is there in its last
state. Each line is complete by itself: a colour that goes on from the line before is set again, and ends with the line.
"""

from __future__ import annotations

import contextlib
import re
from collections import deque
from pathlib import Path

from sitewright.builder.secrets import Masker
from sitewright.system.clock import Clock

HEAD_BYTES = 4 * 1024 * 1024
TAIL_BYTES = 1024 * 1024
MAX_BYTES = HEAD_BYTES + TAIL_BYTES
MAX_LINE = 2000
KEPT_LINES = 40
MOST_COLOURS = 8
"""Sequences that are still in force at a line's end, and so set again on the next one."""
RESET = "\x1b[0m"
_COLUMN_ONE = re.compile(r"\x1b\[[01]?G")
_SPECIAL = re.compile(
    r"(?P<colour>\x1b\[[0-9;:]{0,32}m)"
    r"|\x1b\[[0-?]*[ -/]*[@-~]?"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_NO_COLOUR = re.compile(r"\x1b\[[0;:]*m")
_CUT_COLOUR = re.compile(r"\x1b[^m]*\Z")


def shown(raw: bytes) -> str:
    """One line of a program's output as it is kept: the last state of what was redrawn, and of its escape sequences the colours only."""
    text = _COLUMN_ONE.sub("\r", raw.decode("utf-8", "replace"))
    states = text.rstrip("\r").split("\r")
    for state in reversed(states):
        kept = _SPECIAL.sub(lambda match: match["colour"] or "", state).rstrip()
        if without_colours(kept).strip():
            return kept
    return ""


def without_colours(text: str) -> str:
    """A line's text alone."""
    return _COLOUR.sub("", text)


class BuildLog:
    """Appends lines; keeps the last ones of a step, without colours, for its error. *masker* takes secrets out."""

    def __init__(self, path: Path, clock: Clock, masker: Masker | None = None) -> None:
        self._clock = clock
        self._masker = masker or Masker()
        self._file = path.open("ab", buffering=0)
        self._size = path.stat().st_size
        self._partial = b""
        self._colours: list[str] = []
        self._end: deque[tuple[float, bytes]] = deque()
        """Once the beginning is full: the last lines, as they came, which are written when the build ends."""
        self._end_bytes = self._left_out = 0
        self.tail: deque[str] = deque(maxlen=KEPT_LINES)

    def say(self, text: str) -> None:
        """One line from the platform to the person."""
        self._release()
        self._colours.clear()
        self._take(text.encode("utf-8", "replace"))
        self._release()

    def feed(self, data: bytes) -> None:
        """Output of a command, in any pieces."""
        lines = (self._partial + data).split(b"\n")
        self._partial = lines.pop()[-MAX_LINE * 4 :]
        for line in lines:
            self._take(line)

    def flush(self) -> None:
        """A step has ended: write what has no line end yet."""
        if self._partial:
            self._take(self._partial)
            self._partial = b""
        self._release()
        self._colours.clear()
        if self._end:
            self.tail.extend(without_colours(self._masker.text(shown(raw)))[:MAX_LINE] for _, raw in list(self._end)[-KEPT_LINES:])

    def close(self) -> None:
        """Write the rest and close."""
        self.flush()
        if self._left_out:
            self._write(f"… {self._left_out:,} lines are left out here: the log is longer than is kept.", self._end[0][0])
        ending, self._end = self._end, deque()
        for at, raw in ending:
            self._line(raw, at)
        for line in self._masker.flush():
            self._put(line, self._clock.now())
        self._file.close()

    def _take(self, raw: bytes) -> None:
        now = self._clock.now()
        if self._size < HEAD_BYTES and not self._end:
            self._line(raw, now)
            return
        raw = raw[-MAX_LINE * 4 :]
        self._end.append((now, raw))
        self._end_bytes += len(raw) + 20
        while self._end_bytes > TAIL_BYTES * 3 // 4:
            self._end_bytes -= len(self._end.popleft()[1]) + 20
            self._left_out += 1

    def _line(self, raw: bytes, at: float) -> None:
        for line in self._masker.feed(shown(raw[: MAX_LINE * 20])):
            self._put(line, at)

    def _release(self) -> None:
        for line in self._masker.flush():
            self._put(line, self._clock.now())

    def _put(self, text: str, at: float) -> None:
        if len(text) > MAX_LINE:
            text = f"{_CUT_COLOUR.sub('', text[:MAX_LINE])}… ({len(text) - MAX_LINE} more characters)"
        self.tail.append(without_colours(text))
        if "\x1b" in text or self._colours:
            text = self._coloured(text)
        self._write(text, at)

    def _coloured(self, text: str) -> str:
        before = "".join(self._colours)
        for colour in _COLOUR.findall(text):
            if _NO_COLOUR.fullmatch(colour):
                self._colours.clear()
            elif len(self._colours) < MOST_COLOURS:
                self._colours.append(colour)
        return f"{before}{text}{RESET if self._colours else ''}"

    def _write(self, text: str, at: float) -> None:
        line = f"{at:.3f} {text}\n".encode("utf-8", "replace")
        if self._size + len(line) > MAX_BYTES:
            return
        self._size += len(line)
        with contextlib.suppress(OSError):
            # A full disk costs lines, not the build's end.
            self._file.write(line)
