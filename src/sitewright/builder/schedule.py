"""When a cron process runs. Pure.

The five fields mean what they mean to Debian's cron, the change to and from summer time included: a fixed time that the clock leaves out
runs right after the gap, one that comes twice runs once; `*` hours and minutes follow real time.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from sitewright.domain.processes import Schedule
from sitewright.errors import InvalidValueError

FIELDS = 5
LONGEST_EXPRESSION = 100
NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
EXAMPLE = "“30 3 * * *” is every day at 03:30; “@daily”, “@hourly”, “@weekly” and “@monthly” are understood too."
_FIELD_NAMES = {"minute", "hour", "day-of-month", "month", "day-of-week"}


def _zone(name: str) -> ZoneInfo:
    """The time zone. Raises InvalidValueError."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise InvalidValueError(
            f"“{name[:40]}” is no time zone.", resolution="Name one as the IANA does, for example “TZ=Europe/Berlin”."
        ) from error


def _expression(schedule: Schedule) -> str:
    """Five fields. Raises InvalidValueError."""
    text = schedule.expression.strip().lower()
    if text.startswith("@"):
        if text not in NICKNAMES:
            raise InvalidValueError(f"“{text[:40]}” is no schedule.", resolution=EXAMPLE)
        return NICKNAMES[text]
    if len(text) > LONGEST_EXPRESSION or len(text.split()) != FIELDS:
        raise InvalidValueError(
            f"“{schedule.expression[:60]}” is no schedule: five fields are needed (minute, hour, day, month, weekday).", resolution=EXAMPLE
        )
    return text


@lru_cache(maxsize=1024)
def next_time(schedule: Schedule, after: float) -> float:
    """The first due time later than *after*; both are seconds since the epoch. 0 when it is never due again (within 50 years).

    Raises InvalidValueError for a schedule that is not understood.
    """
    expression, zone = _expression(schedule), _zone(schedule.timezone)
    try:
        found = next(CronSim(expression, datetime.fromtimestamp(after, UTC).astimezone(UTC if zone.key == "UTC" else zone)))
    except CronSimError as error:
        what = str(error).removeprefix("Bad ")
        why = f"its {what} is not understood" if what in _FIELD_NAMES else "it is not understood"
        raise InvalidValueError(f"“{schedule.expression[:60]}” is no schedule: {why}.", resolution=EXAMPLE) from error
    except (StopIteration, OverflowError):
        return 0.0
    return found.timestamp()


def check(schedule: Schedule, now: float) -> None:
    """Raise InvalidValueError, in a sentence, for a schedule that is not understood or is never due after *now*."""
    if not next_time(schedule, now):
        raise InvalidValueError(f"“{schedule.expression[:60]}” is never due: there is no such day.", resolution=EXAMPLE)
