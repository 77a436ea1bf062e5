"""Values that must neither be shown in a build's log nor stay in what it makes: how they may look, and how they are found. Pure.

This guards against accidents. Who writes the build's commands can write a secret in a way that nobody recognises; he could as well send it
away.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus

SHORTEST_MASKED = 4
"""Shorter values are in every other line by chance."""
SHORTEST_SEARCHED = 8
PLAIN_UNTIL = 16
"""A value that is one plain word (only letters, or only digits) and shorter than this is found in files that know nothing of it."""
SHORTEST_PART = 4
"""Of a value that is spread over lines: a line that ends with less of it is not held back."""
MASK = "***"
MOST_HELD = 200
_PLAIN = re.compile(r"[a-z]*|[A-Z]*|[A-Za-z][a-z]*|[0-9]*")


def values_of(env: Iterable[tuple[str, str]], names: Iterable[str]) -> dict[str, str]:
    """Name → value of the variables that are secret and have one."""
    wanted = frozenset(names)
    return {name: value for name, value in env if name in wanted and value.strip()}


def forms(value: str) -> frozenset[str]:
    """How a value may be written: as ``likely_forms`` says, and in hexadecimal."""
    data = value.strip().encode()
    return likely_forms(value) | ({data.hex(), data.hex().upper()} if len(data) >= SHORTEST_MASKED else set())


def likely_forms(value: str) -> frozenset[str]:
    """As it is, without its line ends, in a URL, in JSON, in base64 at each alignment."""
    plain = value.strip()
    one_line = re.sub(r"\s*\n\s*", "", plain)
    found = {plain, one_line, quote(plain, safe=""), quote(plain), quote_plus(plain), json.dumps(plain)[1:-1]}
    found.update(line.strip() for line in plain.splitlines() if len(line.strip()) >= PLAIN_UNTIL)
    if len(plain) >= SHORTEST_SEARCHED:
        found.update(_encoded(plain.encode()))
        found.update(_encoded(value.encode()))
    return frozenset(form for form in found if len(form) >= SHORTEST_MASKED)


def _encoded(data: bytes) -> set[str]:
    """The part of the base64 text that is the same whatever stands before and after the data, for each place it may begin at."""
    found: set[str] = set()
    for before in range(3):
        text = base64.b64encode(b"\0" * before + data).decode().rstrip("=")
        first = (before * 8 + 5) // 6
        last = (before + len(data)) * 8 // 6
        for core in (text[first:last], text[first:last].replace("+", "-").replace("/", "_")):
            if len(core) >= SHORTEST_SEARCHED:
                found.add(core)
    return found


def is_recognisable(value: str) -> bool:
    """Whether finding it in a file says that the file holds the secret: “postgres” is in many files that have nothing to do with it."""
    plain = value.strip()
    return len(plain) >= SHORTEST_SEARCHED and (len(plain) >= PLAIN_UNTIL or not _PLAIN.fullmatch(plain))


def searched(values: Mapping[str, str]) -> dict[bytes, str]:
    """What to look for in files → the name of the variable whose value it is. Each form costs an eighth of a second a gigabyte."""
    return {
        form.encode(): name
        for name, value in values.items()
        if is_recognisable(value)
        for form in likely_forms(value)
        if len(form) >= SHORTEST_SEARCHED and not _PLAIN.fullmatch(form)
    }


class Masker:
    """Replaces secrets in lines of text, also those that lines' ends cut through."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        found = sorted({form for value in values for form in forms(value) if "\n" not in form}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, found))) if found else None
        self._forms = tuple(found)
        self._ends = _ends_of_beginnings(found)
        self._held: list[str] = []

    def feed(self, line: str) -> list[str]:
        """The lines that can be shown now; a line that may end with the beginning of a secret comes with a later one."""
        if self._pattern is None:
            return [line]
        lines = self._masked([*self._held, line])
        keep = self._begun(lines) if len(lines) < MOST_HELD else 0
        self._held = lines[len(lines) - keep :]
        return lines[: len(lines) - keep]

    def flush(self) -> list[str]:
        """What was held back."""
        held, self._held = self._held, []
        return held

    def text(self, text: str) -> str:
        """A text of its own."""
        return self._pattern.sub(MASK, text) if self._pattern is not None else text

    def _masked(self, lines: list[str]) -> list[str]:
        assert self._pattern is not None
        joined = "".join(lines)
        if not any(form in joined for form in self._forms):
            return lines
        spans = [match.span() for match in self._pattern.finditer(joined)]
        shown, at = [], 0
        for line in lines:
            shown.append(_without(line, [(max(a - at, 0), b - at) for a, b in spans if a < at + len(line) and b > at]))
            at += len(line)
        return shown

    def _begun(self, lines: list[str]) -> int:
        """How many of the last lines may hold the beginning of a secret that goes on."""
        joined = "".join(lines)
        begun = self._ends.get(joined[-SHORTEST_PART:], ())
        longest = next((len(part) for part in begun if joined.endswith(part)), 0)
        count = covered = 0
        while covered < longest:
            count += 1
            covered += len(lines[-count])
        return count


def _ends_of_beginnings(found: Iterable[str]) -> dict[str, list[str]]:
    """Every proper beginning, longest first, by its last few characters: most lines end with none of these, which is then soon known."""
    beginnings = {form[:length] for form in found for length in range(SHORTEST_PART, len(form))}
    ends: dict[str, list[str]] = {}
    for beginning in sorted(beginnings, key=len, reverse=True):
        ends.setdefault(beginning[-SHORTEST_PART:], []).append(beginning)
    return ends


def _without(line: str, spans: list[tuple[int, int]]) -> str:
    parts, at = [], 0
    for start, end in spans:
        parts += [line[at:start], MASK]
        at = min(end, len(line))
    return "".join((*parts, line[at:]))
