"""Telling those who wait where they stand: when that has changed, and at most once a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sitewright.builder.queue import Place

LEAST_SECONDS, USUAL_SECONDS = 1.0, 5.0
WORTH_TELLING = 0.2
"""A wait that has changed by less than this share of itself is no news."""
MOST_AT_ONCE = 100


def is_news(told: Place | None, now: Place) -> bool:
    """Whether somebody wants to hear of it. Pure."""
    if told is None or told.position != now.position:
        return True
    return abs(told.wait_seconds - now.wait_seconds) > max(2.0, WORTH_TELLING * told.wait_seconds)


class Announcer:
    """Calls *tell* with the places that are news. ``changed`` may be called as often as one likes."""

    def __init__(self, places: Callable[[], tuple[Place, ...]], tell: Callable[[Place], None]) -> None:
        self._places = places
        self._tell = tell
        self._told: dict[str, Place] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._last = float("-inf")

    def changed(self) -> None:
        """The queue has moved."""
        loop = asyncio.get_running_loop()
        self._at(max(loop.time(), self._last + LEAST_SECONDS))

    def close(self) -> None:
        """Tell nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _at(self, due: float) -> None:
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._due = due
        self._timer = asyncio.get_running_loop().call_at(due, self._announce)

    def _announce(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer, self._last = None, loop.time()
        places = self._places()
        news = [place for place in places if is_news(self._told.get(place.build_id), place)]
        waiting = {place.build_id for place in places}
        self._told = {build_id: place for build_id, place in self._told.items() if build_id in waiting}
        for place in news[:MOST_AT_ONCE]:
            self._told[place.build_id] = place
            self._tell(place)
        if places:
            # A build that takes longer than the last ones did makes everybody's wait longer, and nothing else says so.
            self._at(loop.time() + (LEAST_SECONDS if len(news) > MOST_AT_ONCE else USUAL_SECONDS))
