"""How an operation is getting on, as lines for the screen of whoever pushed: its steps, the build's own lines, the end.

Nothing here looks again after a pause: a change of the operation rings a bell (sitewright.manager.operations.changes), and a build's next
lines are a question that its node answers when they are there. A second later it looks anyway, for another process may do the work.

The cursor says what was told: how many steps, whether the build's log is at its end, and where in it. Whoever asks again with an older one
is told again; nothing is kept between two questions.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from django.conf import settings

from sitewright.bus.messages import LogPage, LogQuery, OperationFollow, OperationNews
from sitewright.domain.states import FINAL_OPERATION_STATES, OperationState, StepState
from sitewright.errors import SitewrightError
from sitewright.manager.bus import NodeClient
from sitewright.manager.domains.models import Route
from sitewright.manager.operations.changes import Bell
from sitewright.manager.operations.models import Operation, Step
from sitewright.manager.releases.models import Build
from sitewright.manager.runtime import runtime

T = TypeVar("T")
Reader = Callable[[Callable[[], T]], Awaitable[T]]

LONGEST_WAIT_SECONDS = 30.0
LOOK_SECONDS = 1.0
GATHER_SECONDS = 0.04
"""At least between two looks: several rows change at once as a rule, and who looks keeps the work itself waiting."""
MOST_LINES = 500
ANSWER_SECONDS = 5.0
BUILD = "build"
QUIET_STEPS = frozenset({"source", "release", "prepare"})
"""Over in an instant, and of no interest to whoever pushes."""


@dataclass(frozen=True, slots=True)
class Place:
    """What was told: ``steps`` of them, the build's ``log`` up to there, ``position`` in the queue (-1: nothing yet). ``drained``: the log
    is at its end."""

    steps: int = 0
    drained: bool = False
    log: str = ""
    position: int = -1

    def __str__(self) -> str:
        return f"{self.steps}.{int(self.drained)}.{self.position}.{self.log}"

    @classmethod
    def of(cls, cursor: str) -> Place:
        """From its text; the beginning when that is none of ours."""
        parts = cursor.split(".", 3)
        try:
            return cls(int(parts[0]), parts[1] == "1", parts[3][:100], int(parts[2]))
        except (IndexError, ValueError):
            return cls()


@dataclass(frozen=True, slots=True)
class View:
    """An operation as it is now. ``steps``: name, title, whether it began. ``build`` and ``node``: whose log to read, ""
    before there is one. ``building``: its step is not over."""

    state: OperationState
    steps: tuple[tuple[str, str, bool], ...]
    build: str
    node: str
    building: bool
    position: int
    wait_seconds: float
    address: str
    error: tuple[str, str, str]
    before: str
    """What it waits for; "" when it does not."""

    @property
    def final(self) -> bool:
        """Whether nothing will ever follow."""
        return self.state in FINAL_OPERATION_STATES


def look(operation_id: str) -> View | None:
    """The operation as its rows have it; None when there is none. Asked at each change, so it takes few columns."""
    columns = ("state", "params", "channel_id", "error_message", "error_details", "error_resolution")
    row = Operation.objects.filter(id=operation_id).values(*columns).first()
    if row is None:
        return None
    state = OperationState(row["state"])
    steps = Step.objects.filter(operation=operation_id).order_by("index").values_list("name", "title", "state")
    told = tuple((name, title, state_ != StepState.PENDING.value) for name, title, state_ in steps)
    build_id = row["params"].get("found", {}).get(BUILD, {}).get("build", "")
    build = Build.objects.filter(id=build_id).values("node", "position", "wait_seconds").first() if build_id else None
    over = {StepState.DONE.value, StepState.FAILED.value, StepState.SKIPPED.value}
    return View(
        state=state,
        steps=told,
        build=build_id if build else "",
        node=build["node"] if build else "",
        building=any(name == BUILD and state_ not in over for name, _, state_ in steps) and state not in FINAL_OPERATION_STATES,
        position=build["position"] if build else 0,
        wait_seconds=build["wait_seconds"] if build else 0.0,
        address=_address(row["channel_id"]) if state is OperationState.SUCCEEDED else "",
        error=(row["error_message"], row["error_details"], row["error_resolution"]),
        before=_before(operation_id) if state is OperationState.QUEUED else "",
    )


def _address(channel_id: str | None) -> str:
    host = Route.objects.filter(channel_id=channel_id).values_list("host", flat=True).first()
    return settings.PLATFORM.url(host) if host else ""


def _before(operation_id: str) -> str:
    from sitewright.manager.operations.claims import ACTIVE  # noqa: PLC0415 - claims know handlers, which know everything
    from sitewright.manager.operations.lanes import others_in_the_way  # noqa: PLC0415

    other = others_in_the_way(Operation.objects.get(id=operation_id)).filter(state__in=ACTIVE).first()
    return f"Waiting until “{other.kind}” of {other.site_name} is over." if other else ""


async def news(asked: OperationFollow, reader: Reader[View | None]) -> OperationNews:
    """Answer as soon as there is something to tell after the cursor, else when the time is over. Call it in the bus's loop; *reader* runs
    what asks the database in another thread."""
    loop = asyncio.get_running_loop()
    until = loop.time() + min(max(asked.wait_seconds, 0.0), LONGEST_WAIT_SECONDS)
    place = Place.of(asked.cursor)
    with runtime().changes.listening(asked.operation) as bell:
        while True:
            looked = loop.time()
            view = await reader(lambda: look(asked.operation))
            if view is None:
                return OperationNews(ended=True, problem="There is no such operation.")
            lines, place = await _told(view, place)
            ended = view.final and place.steps == len(view.steps)
            if lines or ended or loop.time() >= until:
                return _answer(view, lines, place, ended=ended)
            await _something(view, place, bell, min(until - loop.time(), LOOK_SECONDS))
            await asyncio.sleep(max(looked + GATHER_SECONDS - loop.time(), 0.0))


def _answer(view: View, lines: list[str], place: Place, *, ended: bool) -> OperationNews:
    if not ended:
        return OperationNews(lines=tuple(lines), cursor=str(place))
    ok = view.state is OperationState.SUCCEEDED
    if ok:
        lines = [*lines, *([f"Live at {view.address}"] if view.address else ["Done."])]
        return OperationNews(lines=tuple(lines), cursor=str(place), ended=True, ok=True)
    message, details, resolution = view.error
    message = message or f"This has {view.state.value}."
    more = [line for text in (message, details, resolution) for line in text.splitlines()]
    return OperationNews(lines=(*lines, *more), cursor=str(place), ended=True, problem=message.splitlines()[0])


async def _told(view: View, place: Place) -> tuple[list[str], Place]:
    """The lines after *place* that there are now, and where that leads to."""
    lines: list[str] = []
    if view.before and place.position < 0:
        return [view.before], replace(place, position=0)
    while True:
        if _in_log(view, place):
            more, place = await _log(view, place)
            lines += more
            if not place.drained:
                return lines, place
        if place.steps >= len(view.steps):
            return lines, place
        name, title, began = view.steps[place.steps]
        if not began and not view.final:
            return lines, place
        place = replace(place, steps=place.steps + 1)
        if began and name not in QUIET_STEPS:
            lines.append(f"-----> {title}")


def _in_log(view: View, place: Place) -> bool:
    """Whether the step told last is the build, and its log goes on."""
    return 0 < place.steps <= len(view.steps) and view.steps[place.steps - 1][0] == BUILD and not place.drained


async def _log(view: View, place: Place) -> tuple[list[str], Place]:
    """What the build has written since, without waiting for more."""
    if not view.build:
        return [], replace(place, drained=not view.building)
    try:
        page = await _page(view, place, 0.0)
    except SitewrightError:
        # A node that is away for a moment, or has not heard of the build yet, delays the lines; when the build is over they end here.
        return [], replace(place, drained=not view.building)
    lines = [f"       {line.text}" for line in page.lines]
    drained = page.ended or (not page.lines and not view.building)
    position = place.position
    if view.position and view.position != place.position and view.building:
        wait = f", about {view.wait_seconds:.0f} s" if view.wait_seconds >= 1 else ""
        lines.append(f"       Number {view.position} in the queue{wait}.")
        position = view.position
    return lines, replace(place, log=page.cursor, drained=drained, position=position)


async def _page(view: View, place: Place, wait: float) -> LogPage:
    query = LogQuery(build_id=view.build, cursor=place.log, tail=MOST_LINES, limit=MOST_LINES, wait_seconds=wait)
    return await NodeClient(runtime().bus, view.node).ask_here("log.read", query, LogPage, wait + ANSWER_SECONDS)


async def _something(view: View, place: Place, bell: Bell, seconds: float) -> None:
    """Wait until the operation has changed or its build has written something, at most that long."""
    waiting = {asyncio.ensure_future(bell.heard(seconds))}
    if view.build and _in_log(view, place):
        waiting.add(asyncio.ensure_future(_written(view, place, seconds)))
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def _written(view: View, place: Place, seconds: float) -> None:
    with contextlib.suppress(SitewrightError):
        page = await _page(view, place, seconds)
        if page.lines or page.ended:
            return
    await asyncio.sleep(seconds)
