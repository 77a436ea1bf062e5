"""Colours of terminals as elements of a page: SGR sequences (ECMA-48, 8.3.117) become spans, everything else is text, escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

_SGR = re.compile(r"\x1b\[([0-9;]{0,40})m")
_OTHER = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[@-Z\\-_])?|[\x00-\x08\x0b-\x1f\x7f]")
"""Any other escape sequence, and control characters but tab and newline: nothing for a page."""
COLOURS = 8


@dataclass(frozen=True, slots=True)
class Look:
    """How letters look. ``colour`` counts from 0 (black) to 15 (bright white); None is the text's own."""

    colour: int | None = None
    bold: bool = False
    faint: bool = False
    italic: bool = False
    underlined: bool = False

    @property
    def classes(self) -> str:
        """Classes of the span; "" for plain text."""
        marks = (("ansi-bold", self.bold), ("ansi-faint", self.faint), ("ansi-italic", self.italic), ("ansi-under", self.underlined))
        colour = [] if self.colour is None else [f"ansi-{self.colour}"]
        return " ".join([*colour, *(name for name, on in marks if on)])


PLAIN = Look()
_SIMPLE: dict[int, dict[str, object]] = {
    1: {"bold": True},
    2: {"faint": True},
    3: {"italic": True},
    4: {"underlined": True},
    22: {"bold": False, "faint": False},
    23: {"italic": False},
    24: {"underlined": False},
    39: {"colour": None},
}


def changed(look: Look, codes: str) -> Look:
    """The look after one sequence. Codes that are not known change nothing; backgrounds are left out, so that text stays readable."""
    numbers = [int(part) if part else 0 for part in codes.split(";")]
    index = 0
    while index < len(numbers):
        code = numbers[index]
        if code in {38, 48}:
            look, used = _extended(look, numbers[index:])
            index += used
            continue
        if code == 0:
            look = PLAIN
        elif 30 <= code < 30 + COLOURS or 90 <= code < 90 + COLOURS:
            look = replace(look, colour=code - 30 if code < 90 else code - 82)
        elif code in _SIMPLE:
            look = replace(look, **_SIMPLE[code])  # type: ignore[arg-type]
        index += 1
    return look


def _extended(look: Look, numbers: list[int]) -> tuple[Look, int]:
    """`38;5;n` and `38;2;r;g;b`, and how many numbers that took. Of the many colours only the first sixteen are shown as such."""
    kind = numbers[1] if len(numbers) > 1 else 0
    used = {5: 3, 2: 5}.get(kind, 1)
    if numbers[0] == 38 and kind == 5 and len(numbers) > 2 and numbers[2] < 2 * COLOURS:
        look = replace(look, colour=numbers[2])
    return look, used


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """The text in parts of one look: classes, and plain text without any sequences."""
    look, start = PLAIN, 0
    for match in _SGR.finditer(text):
        if part := _OTHER.sub("", text[start : match.start()]):
            yield look.classes, part
        look, start = changed(look, match.group(1)), match.end()
    if part := _OTHER.sub("", text[start:]):
        yield look.classes, part


def coloured(text: str) -> SafeString:
    """A line for a page: escaped first, then wrapped."""
    parts = ((classes, escape(part)) for classes, part in pieces(text))
    return mark_safe("".join(f'<span class="{classes}">{part}</span>' if classes else part for classes, part in parts))  # noqa: S308 - escaped just now


def plain(text: str) -> str:
    """The same as plain text, for a file."""
    return "".join(part for _, part in pieces(text))
