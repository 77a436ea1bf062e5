"""The kinds of values that sitewright.toml has: how each is read, what is allowed, and its JSON schema. Pure.

A reader takes what TOML gave and returns the value, or raises InvalidValueError that says what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sitewright.builder import schedule
from sitewright.builder.procfile import MAX_COMMAND_LENGTH, SOME_DAY
from sitewright.domain.page_patterns import STATUSES, check_target, parse_pattern
from sitewright.domain.processes import Schedule
from sitewright.errors import InvalidValueError

DAY = 86_400.0
LONGEST_SECONDS = 365 * DAY
MOST_COPIES = 16
YEAR = 31_536_000


@dataclass(frozen=True)
class Kind:
    """``words``: what is allowed, for people."""

    words: str
    read: Callable[[object], Any]
    schema: dict[str, Any] = field(default_factory=dict)


def _wrong(value: object, allowed: str) -> InvalidValueError:
    shown = f"“{value[:60]}”" if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)[:60]
    return InvalidValueError(f"{shown} is not allowed here.", resolution=f"Allowed: {allowed}.")


def _text(value: object, allowed: str, longest: int = 1000) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > longest or re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
        raise _wrong(value, allowed)
    return value.strip()


_UNITS: Final = {
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "m": 60.0,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
    "d": DAY,
    "day": DAY,
}
_LONG_UNITS: Final = {**_UNITS, "w": 7 * DAY, "week": 7 * DAY, "month": 30 * DAY, "year": 365 * DAY}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


def _seconds(value: object, units: dict[str, float], allowed: str) -> float:
    """Seconds from a number or from “30 min”."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        found = _AMOUNT.fullmatch(value.strip()) if isinstance(value, str) else None
        unit = (found[2].lower() if found else "") or "s"
        size = units.get(unit) or units.get(unit.removesuffix("s"))
        if found is None or size is None:
            raise _wrong(value, allowed)
        seconds = float(found[1]) * size
    if not 0 < seconds <= LONGEST_SECONDS:
        raise _wrong(value, allowed)
    return seconds


_DURATION = "a length of time like “45 s”, “30 min” or “2 h”, at most 365 days"


def read_memory(value: object) -> int:
    """MiB from “256 MB”, “1 GB” or a number of MB."""
    allowed = "memory like “256 MB” or “1 GB”, from 32 MB to 64 GB"
    if isinstance(value, int) and not isinstance(value, bool):
        megabytes = value
    else:
        found = _AMOUNT.fullmatch(value.strip()) if isinstance(value, str) else None
        size = {"m": 1, "mb": 1, "mib": 1, "g": 1024, "gb": 1024, "gib": 1024}.get(found[2].lower()) if found else None
        if found is None or size is None:
            raise _wrong(value, allowed)
        megabytes = round(float(found[1]) * size)
    if not 32 <= megabytes <= 65_536:
        raise _wrong(value, allowed)
    return megabytes


def _cpu(value: object) -> int:
    """Millicores from a number of processors."""
    allowed = "a number of processors from 0.05 to 64, like 0.5"
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.05 <= value <= 64:
        raise _wrong(value, allowed)
    return round(value * 1000)


def _folder(value: object) -> str:
    """A relative folder, without a slash at its end."""
    allowed = "a folder of the repository, like “dist” or “apps/web”"
    text = _text(value, allowed, 300).removeprefix("./").rstrip("/")
    if text in {"", "."}:
        return ""
    if any(part in {"", ".", ".."} for part in text.split("/")) or "\\" in text:
        raise _wrong(value, allowed)
    return text


def _file(value: object) -> str:
    """A file below the served folder, without a slash at its beginning."""
    allowed = "a file below the served folder, like “404.html”"
    text = _text(value, allowed, 300).removeprefix("/")
    parts = text.split("/")
    if any(part in {"", ".", ".."} or part.startswith(".") or len(part.encode()) > 200 for part in parts) or "\\" in text:
        raise _wrong(value, allowed)
    return text


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(value, "true or false")
    return value


def _number(least: int, most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise _wrong(value, f"a number from {least} to {most}")
        return value

    return read


def _health_path(value: object) -> str:
    text = _text(value, "a path like “/healthz”", 300)
    if not text.startswith("/") or not re.fullmatch(r"[\x21-\x7e]+", text):
        raise _wrong(value, "a path like “/healthz”")
    return text


_VERSION = re.compile(r"(?:(?:>=|<=|==|<|>|~|\^)?\s*v?\d+(?:\.\d+){0,2}(?:\.[x*])?)(?:\s*,\s*(?:>=|<=|==|<|>)?\s*\d+(?:\.\d+){0,2})*")


def _version(value: object) -> str:
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    allowed = "a version like “3.11”, “20” or “>=18,<23”"
    text = _text(text, allowed, 60)
    if not _VERSION.fullmatch(text):
        raise _wrong(value, allowed)
    return text


def _schedule(value: object) -> str:
    text = _text(value, "five fields of crontab(5) or “@daily”", 100)
    schedule.check(Schedule(text), SOME_DAY)
    return text


def _timezone(value: object) -> str:
    text = _text(value, "a time zone like “Europe/Berlin”", 60)
    schedule.check(Schedule("@daily", text), SOME_DAY)
    return text


def _pattern(value: object) -> str:
    text = _text(value, "a path like “/blog/*”")
    parse_pattern(text)
    return text


def _target(value: object) -> str:
    text = _text(value, "a path, or a whole address", 2000)
    check_target(text, own=False)
    return text


def _status(value: object) -> int:
    if value not in STATUSES or isinstance(value, bool):
        raise _wrong(value, ", ".join(map(str, STATUSES)))
    return int(str(value))


_LIVES: Final = {"immutable": f"public, max-age={YEAR}, immutable", "no-store": "no-store", "revalidate": "no-cache"}
_LIFE = "“immutable” (names change with contents), “revalidate”, “no-store”, or a length of time like “1 h” or “30 days”"


def _life(value: object) -> str:
    """The value of Cache-Control."""
    if isinstance(value, str) and value.strip().lower() in _LIVES:
        return _LIVES[value.strip().lower()]
    return f"public, max-age={_seconds(value, _LONG_UNITS, _LIFE):.0f}"


def _spa(value: object) -> str:
    if isinstance(value, bool):
        return "index.html" if value else ""
    return _file(value)


def _texts(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or not value or len(value) > 30 or not all(isinstance(one, str) for one in value.values()):
        raise _wrong(value, 'a table of names and texts, like { id = ":id" }')
    return tuple((str(name), str(text)) for name, text in value.items())


def _variable(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str) or len(value) > 32_000 or "\0" in value:
        raise _wrong(value, "a text")
    return value


_STRING: Final = {"type": "string"}
_LENGTH: Final = {"type": ["string", "number"], "examples": ["30 min"]}

COMMAND = Kind(
    f"one line, at most {MAX_COMMAND_LENGTH} characters",
    lambda value: _text(value, f"one line of at most {MAX_COMMAND_LENGTH} characters", MAX_COMMAND_LENGTH),
    _STRING,
)
FOLDER = Kind("a folder of the repository", _folder, _STRING)
FILE = Kind("a file below the served folder", _file, _STRING)
FLAG = Kind("`true` or `false`", _flag, {"type": "boolean"})
DURATION = Kind('`"45 s"`, `"30 min"`, `"2 h"`, or a number of seconds', lambda value: _seconds(value, _UNITS, _DURATION), _LENGTH)
MEMORY = Kind('`"256 MB"`, `"1 GB"`', read_memory, {"type": ["string", "integer"], "examples": ["256 MB"]})
CPU = Kind("processors, `0.05` to `64`", _cpu, {"type": "number", "minimum": 0.05, "maximum": 64})
COPIES = Kind(f"`0` to `{MOST_COPIES}`", _number(0, MOST_COPIES), {"type": "integer", "minimum": 0, "maximum": MOST_COPIES})
FAILURES = Kind("`1` to `20`", _number(1, 20), {"type": "integer", "minimum": 1, "maximum": 20})
HEALTH_PATH = Kind("a path, answered with 200–399", _health_path, _STRING)
VERSION = Kind('a version or bounds: `"3.11"`, `">=18,<23"`', _version, {"type": ["string", "number"]})
SCHEDULE = Kind("five fields of crontab(5), `@hourly`, `@daily`, `@weekly`, `@monthly`", _schedule, _STRING)
TIMEZONE = Kind("an IANA time zone", _timezone, _STRING)
PATTERN = Kind("a path; `:name` is one part, a last `*` all that follows, `*.css` all with that ending", _pattern, _STRING)
TARGET = Kind("a path, or an address of http or https", _target, _STRING)
STATUS = Kind(", ".join(f"`{one}`" for one in STATUSES), _status, {"enum": list(STATUSES)})
LIFE = Kind(_LIFE.replace("“", '`"').replace("”", '"`'), _life, {"type": ["string", "number"]})
SPA = Kind("`true`, or the file that answers", _spa, {"type": ["boolean", "string"]})
TEXTS = Kind("names and texts", _texts, {"type": "object", "additionalProperties": _STRING})
VARIABLE = Kind("a text, a number, `true` or `false`", _variable, {"type": ["string", "number", "boolean"]})
