"""How often a day something happened to a channel, and when its owner was told last. On disk, so that a restart forgets neither."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sitewright.system.files import CorruptFileError, read_checked_json, write_checked_json

log = logging.getLogger(__name__)

DAY_SECONDS = 86_400
ORDINALS = {1: "st", 2: "nd", 3: "rd"}


@dataclass(frozen=True, slots=True)
class Count:
    """``day``: days since the epoch, UTC; ``count``: how often on that day; ``told_at``: seconds since the epoch, 0 is never."""

    day: int = 0
    count: int = 0
    told_at: float = 0.0


_ADAPTER: TypeAdapter[dict[str, Count]] = TypeAdapter(dict[str, Count])


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th, 21st …"""
    ending = "th" if number // 10 % 10 == 1 else ORDINALS.get(number % 10, "th")
    return f"{number}{ending}"


def when(now: float, count: int = 1) -> str:
    """«at 14:02 UTC», and from the second time on «at 14:02 UTC, 3rd time today»."""
    clock = time.strftime("at %H:%M UTC", time.gmtime(now))
    return f"{clock}, {ordinal(count)} time today" if count > 1 else clock


class Tally:
    """(channel id, what) → count. Only what happened today or was told today is kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._counts: dict[str, Count] | None = None

    def again(self, channel_id: str, what: str, now: float) -> int:
        """It happened once more; how often that makes today."""
        known, day = self._of(channel_id, what), int(now // DAY_SECONDS)
        count = known.count + 1 if known.day == day else 1
        self._put(channel_id, what, Count(day, count, known.told_at), now)
        return count

    def due(self, channel_id: str, what: str, now: float, seconds: float) -> bool:
        """Whether its owner was not told within the last *seconds*; then that is now."""
        known = self._of(channel_id, what)
        # A clock that was set back must not keep an owner uninformed.
        if 0 <= now - known.told_at < seconds:
            return False
        self._put(channel_id, what, Count(known.day, known.count, now), now)
        return True

    def _of(self, channel_id: str, what: str) -> Count:
        return self._all().get(f"{channel_id} {what}", Count())

    def _all(self) -> dict[str, Count]:
        if self._counts is None:
            self._counts = {}
            try:
                self._counts = _ADAPTER.validate_python(read_checked_json(self._path))
            except FileNotFoundError:
                pass
            except (CorruptFileError, ValidationError, ValueError, OSError) as error:
                log.warning("tally.damaged", extra={"reason": type(error).__name__})
        return self._counts

    def _put(self, channel_id: str, what: str, count: Count, now: float) -> None:
        counts = self._all()
        counts[f"{channel_id} {what}"] = count
        day = int(now // DAY_SECONDS)
        self._counts = {key: c for key, c in counts.items() if c.day >= day or now - c.told_at < DAY_SECONDS}
        try:
            write_checked_json(self._path, _ADAPTER.dump_python(self._counts, mode="json"), durable=False)
        except OSError as error:
            log.error("tally.not_kept", extra={"reason": error.strerror})
