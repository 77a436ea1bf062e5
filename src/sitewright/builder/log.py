"""The log of one build: a plain text file, each line `<epoch seconds> <text>`, bounded in rate of growth by its size."""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path

from sitewright.system.clock import Clock

MAX_BYTES = 5 * 1024 * 1024
MAX_LINE = 2000
KEPT_LINES = 40
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f]")


class BuildLog:
    """Appends lines; keeps the last ones of a step for its error."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        self._file = path.open("ab", buffering=0)
        self._size = path.stat().st_size
        self._partial = b""
        self.tail: deque[str] = deque(maxlen=KEPT_LINES)

    def say(self, text: str) -> None:
        """One line from the platform to the person."""
        self._write(text)

    def feed(self, data: bytes) -> None:
        """Output of a command, in any pieces. A carriage return alone redraws a line: only its last state is kept."""
        lines = (self._partial + data).split(b"\n")
        self._partial = lines.pop()[-MAX_LINE * 4 :]
        if self._size > MAX_BYTES:
            lines = lines[-KEPT_LINES:]
        for line in lines:
            self._line(line)

    def flush(self) -> None:
        """A step has ended: write what has no line end yet."""
        if self._partial:
            self._line(self._partial)
            self._partial = b""

    def _line(self, raw: bytes) -> None:
        text = raw.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace")
        text = _CONTROL.sub("", text).rstrip()
        if len(text) > MAX_LINE:
            text = f"{text[:MAX_LINE]}… ({len(text) - MAX_LINE} more characters)"
        self.tail.append(text)
        self._write(text)

    def _write(self, text: str) -> None:
        if self._size > MAX_BYTES:
            return
        line = f"{self._clock.now():.3f} {text}\n".encode("utf-8", "replace")
        self._size += len(line)
        if self._size > MAX_BYTES:
            line = f"{self._clock.now():.3f} The log is full (5 MB); what follows is left out.\n".encode()
        self._file.write(line)

    def close(self) -> None:
        """Write the rest and close."""
        self.flush()
        self._file.close()
