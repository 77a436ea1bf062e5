"""Printing: tables for people, JSON for programs, errors as sentences."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import Any

from sitewright.errors import SitewrightError

STATE_COLOURS = {
    "running": "green",
    "succeeded": "green",
    "ready": "green",
    "done": "green",
    "sleeping": "cyan",
    "frozen": "cyan",
    "stopped": "yellow",
    "queued": "yellow",
    "cancelled": "yellow",
    "crashed": "red",
    "failed": "red",
}


def print_json(value: Any) -> None:
    """*value* as indented JSON on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def clean(text: str) -> str:
    """Text of other people without control characters, so that nobody steers this terminal."""
    return "".join(letter if letter.isprintable() or letter in "\t\n" else "�" for letter in text)


def _cell(value: Any) -> str:
    return "" if value is None else clean(str(value)).replace("\n", " ")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str) -> None:
    """A table; *empty* is said when there are no rows. Coloured on a terminal, plain aligned columns otherwise."""
    if not rows:
        print(empty)
        return
    cells = [[_cell(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        widths = [max(len(line[index]) for line in [list(columns), *cells]) for index in range(len(columns))]
        for line in [[column.upper() for column in columns], *cells]:
            print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
        return
    from rich.console import Console  # noqa: PLC0415 - 50 ms that only a terminal needs
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    for line in cells:
        table.add_row(*(Text(text, style=STATE_COLOURS.get(text, "")) for text in line))
    Console().print(table)


def print_fields(fields: Sequence[tuple[str, Any]]) -> None:
    """Names and values, one a line."""
    width = max((len(name) for name, _ in fields), default=0)
    for name, value in fields:
        print(f"{name.ljust(width)}  {_cell(value)}".rstrip())


def when(text: Any) -> str:
    """A time of the API (ISO 8601 or seconds since the epoch) as local date and minute; "" for none."""
    from datetime import UTC, datetime  # noqa: PLC0415

    if not text:
        return ""
    try:
        moment = datetime.fromtimestamp(float(text), UTC) if isinstance(text, (int, float)) else datetime.fromisoformat(str(text))
    except ValueError:
        return str(text)
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def print_error(error: SitewrightError) -> None:
    """What happened, why, what to do; on standard error."""
    lines = [f"Error: {clean(error.message)}"]
    lines += [f"  {line}" for part in (error.details, error.resolution) if part for line in clean(part).splitlines()]
    print("\n".join(lines), file=sys.stderr)


_ESCAPE = re.compile(r"\x1b\[[0-9;]*m|\x1b")


def terminal_text(text: str) -> str:
    """A line written by a program that is not trusted: colours stay on a terminal, everything else that steers one goes."""
    colours = sys.stdout.isatty()
    kept = _ESCAPE.sub(lambda found: found.group() if colours and len(found.group()) > 1 else "", text)
    return "".join(letter if letter.isprintable() or letter in "\t\x1b" else "" for letter in kept)
