"""Amounts as people type them: durations, shares, memory, processors, counts."""

from __future__ import annotations

import re

from sitewright.errors import InvalidValueError

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SIZES = {"": 1, "M": 1, "MB": 1, "G": 1024, "GB": 1024}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+|\d+(?:\.\d+)?", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)", re.ASCII)
_SIZE = re.compile(r"(\d{1,9})(M|MB|G|GB|)", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,6}(?:\.\d{1,6})?", re.ASCII)
_COUNT = re.compile(r"([+-]?)(\d{1,5})", re.ASCII)
LONGEST_SECONDS = 366 * 86400.0


def seconds_of(text: str) -> float:
    """`90`, `90s`, `15m`, `2h`, `1h30m`, `1d` in seconds. Raises InvalidValueError."""
    words = text.strip().lower()
    if not _DURATION.fullmatch(words):
        raise InvalidValueError(f"“{text}” is not a duration.", resolution="Write 90s, 15m, 2h or 1h30m.")
    seconds = sum(float(number) * UNITS[unit] for number, unit in _PART.findall(words))
    if seconds > LONGEST_SECONDS:
        raise InvalidValueError(f"“{text}” is longer than a year.", resolution="Write 90s, 15m, 2h or 1h30m.")
    return seconds


def duration(seconds: float) -> str:
    """Seconds as `seconds_of` reads them: 90s, 15m, 2h, 1h30m; "never" for 0."""
    if seconds <= 0:
        return "never"
    whole = round(seconds)
    if seconds < 120 or whole % 60:
        return f"{seconds:g}s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}h" * bool(hours) + f"{minutes}m" * bool(minutes)


def percent_of(text: str) -> float:
    """`10%` or `10`: more than 0 and less than 100. Raises InvalidValueError."""
    words = text.strip().removesuffix("%").strip()
    if not _NUMBER.fullmatch(words) or not 0 < float(words) < 100:
        raise InvalidValueError(
            f"“{text}” is not a share of the visitors.", resolution="Write a percentage such as 10%: more than 0, less than 100."
        )
    return float(words)


def megabytes_of(text: str) -> int:
    """`512`, `512M`, `1G` in MiB. Raises InvalidValueError."""
    found = _SIZE.fullmatch(text.strip())
    if not found or not int(found[1]):
        raise InvalidValueError(f"“{text}” is not an amount of memory.", resolution="Write 512M or 1G.")
    return int(found[1]) * SIZES[found[2].upper()]


def millicores_of(text: str) -> int:
    """`0.5`, `2`, `500m` in thousandths of a processor. Raises InvalidValueError."""
    words = text.strip().lower()
    number, factor = (words[:-1], 1) if words.endswith("m") else (words, 1000)
    if not _NUMBER.fullmatch(number) or round(float(number) * factor) < 1:
        raise InvalidValueError(f"“{text}” is not a number of processors.", resolution="Write 0.5 for half of one, or 500m.")
    return round(float(number) * factor)


def counts_of(words: list[str], current: dict[str, int]) -> dict[str, int]:
    """`web=3 worker=+1` as counts; a sign adds to or takes from the *current* ones. Raises InvalidValueError."""
    counts: dict[str, int] = {}
    for word in words:
        process, separator, text = word.partition("=")
        found = _COUNT.fullmatch(text)
        if not process or not separator or not found:
            raise InvalidValueError(
                f"“{word}” is not a process type and a count.", resolution="Write, for example, web=3 worker=1, or web=+1."
            )
        if process in counts:
            raise InvalidValueError(f"“{process}” is named twice.", resolution="Name each process type once.")
        number = int(found[2])
        if found[1]:
            number = current.get(process, 1) + (number if found[1] == "+" else -number)
        if number < 0:
            raise InvalidValueError(f"There are only {current.get(process, 1)} of {process}.", resolution=f"{process}=0 stops all of them.")
        counts[process] = number
    return counts
