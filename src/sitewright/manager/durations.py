"""Lengths of time in words."""

from __future__ import annotations

MINUTE, HOUR, DAY = 60, 3600, 86400


def duration(seconds: float) -> str:
    """`45 s`, `15 min`, `2 h`, `1.5 h`, `3 days`."""
    if seconds < MINUTE:
        return f"{seconds:g} s"
    for unit, size, most in (("min", MINUTE, 2 * HOUR), ("h", HOUR, 2 * DAY)):
        if seconds < most:
            return f"{round(seconds / size, 1):g} {unit}"
    return f"{round(seconds / DAY, 1):g} days"


def passed(seconds: float) -> str:
    """The same in whole units, for what goes on: `a moment`, `12 min`, `3 h`, `1 day`."""
    for unit, size in (("day", DAY), ("h", HOUR), ("min", MINUTE)):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {unit}{'s' if unit == 'day' and number > 1 else ''}"
    return "a moment"
