"""Which build is next, and how long the others wait. Pure: frozen values in, frozen values out; no clock, no disk.

Weighted fair queueing over teams by what their builds have cost: a team's *turn* grows by seconds ÷ weight, and the team with the lowest
turn is next (start-time fair queueing: Goyal, Vin, Cheng 1996). Who comes back after a pause starts at the turn that is being served, so
that nobody saves up. Within a team sites take turns, within a site the oldest build is first. Two builds of one channel never run at once.

Weights may be so unequal that a team would wait for hours; one that has waited ``PATIENCE_SECONDS`` and was not served meanwhile is next
whatever its weight. A team that floods the queue is served all the time, so it never gets ahead that way.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

PATIENCE_SECONDS = 900.0
LEAST_COST_SECONDS = 0.05
"""No build is free."""
MOST_PLAYED = 100
_NOTHING: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Ticket:
    """One build in the queue. ``since`` is seconds since the epoch, ``number`` counts up in the order of arrival, ``cost`` is the seconds
    that it will probably take."""

    build_id: str
    team: str
    site: str
    channel: str
    since: float
    number: int
    cost: float
    weight: int = 100


@dataclass(frozen=True, slots=True)
class Ledger:
    """What was served so far. ``turns``: team → seconds ÷ weight × 100; ``served``: team → when it was last served; ``sites``: site → the
    number of its last start; ``now_serving``: the turn of whoever was last served; ``starts`` counts."""

    turns: Mapping[str, float] = field(default_factory=lambda: _NOTHING)
    served: Mapping[str, float] = field(default_factory=lambda: _NOTHING)
    sites: Mapping[str, float] = field(default_factory=lambda: _NOTHING)
    now_serving: float = 0.0
    starts: int = 0

    def turn(self, team: str) -> float:
        """When it is a team's turn, in virtual seconds."""
        return max(self.turns.get(team, 0.0), self.now_serving)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a waiting build stands: 1 is next. ``wait_seconds`` as far as one can tell."""

    build_id: str
    position: int
    wait_seconds: float


@dataclass(frozen=True, slots=True)
class Slots:
    """What runs now: channels in use, each with the seconds that its build probably still needs; ``count`` builds run at once."""

    count: int
    busy: Mapping[str, float] = field(default_factory=lambda: _NOTHING)


def started(ledger: Ledger, ticket: Ticket, now: float) -> Ledger:
    """After *ticket* has been started: its team pays what the build will probably cost."""
    turn = ledger.turn(ticket.team)
    return Ledger(
        turns={**ledger.turns, ticket.team: turn + _price(ticket.cost, ticket.weight)},
        served={**ledger.served, ticket.team: now},
        sites={**ledger.sites, ticket.site: float(ledger.starts + 1)},
        now_serving=turn if turn > ledger.now_serving else ledger.now_serving,
        starts=ledger.starts + 1,
    )


def ended(ledger: Ledger, ticket: Ticket, seconds: float) -> Ledger:
    """After it has ended: its team has paid too much or too little, and gets back or pays the difference."""
    difference = _price(seconds, ticket.weight) - _price(ticket.cost, ticket.weight)
    return replace(ledger, turns={**ledger.turns, ticket.team: ledger.turns.get(ticket.team, ledger.now_serving) + difference})


def trimmed(ledger: Ledger, waiting: Iterable[Ticket]) -> Ledger:
    """Without teams and sites that nothing has to be remembered of: those whose turn has passed and who wait for nothing."""
    present = list(waiting)
    teams, sites = {ticket.team for ticket in present}, {ticket.site for ticket in present}
    turns = {team: turn for team, turn in ledger.turns.items() if turn > ledger.now_serving or team in teams}
    served = {team: at for team, at in ledger.served.items() if team in teams}
    return replace(ledger, turns=turns, served=served, sites={site: n for site, n in ledger.sites.items() if site in sites})


def choose(waiting: Iterable[Ticket], slots: Slots, ledger: Ledger, now: float) -> Ticket | None:
    """The build to start now; None when no slot is free or every one that waits is of a channel that is being built."""
    return _next_of(_by_team(waiting, ledger), ledger, slots.busy, now) if len(slots.busy) < slots.count else None


def places(waiting: Iterable[Ticket], slots: Slots, ledger: Ledger, now: float, most: int = MOST_PLAYED) -> tuple[Place, ...]:
    """Everybody's place, in order, by playing through what will happen when every build takes what it probably will.

    Only the first *most* are played through; those behind stand in the order of arrival, which is near enough.
    """
    teams = _by_team(waiting, ledger)
    running = [(now + left, channel) for channel, left in slots.busy.items()]
    heapq.heapify(running)
    found: list[Place] = []
    at = now
    while teams and len(found) < most:
        ticket = _next_of(teams, ledger, {channel: 0.0 for _, channel in running}, at) if len(running) < slots.count else None
        if ticket is None:
            if not running:
                break
            at = max(at, heapq.heappop(running)[0])
            continue
        found.append(Place(ticket.build_id, len(found) + 1, at - now))
        ledger = started(ledger, ticket, at)
        heapq.heappush(running, (at + max(ticket.cost, LEAST_COST_SECONDS), ticket.channel))
        teams[ticket.team].remove(ticket)
        if not teams[ticket.team]:
            del teams[ticket.team]
    left = sorted((ticket for mine in teams.values() for ticket in mine), key=lambda ticket: ticket.number)
    for ticket in left:
        found.append(Place(ticket.build_id, len(found) + 1, at - now))
        at += ticket.cost / max(1, slots.count)
    return tuple(found)


def _next_of(teams: Mapping[str, deque[Ticket]], ledger: Ledger, busy: Mapping[str, float], now: float) -> Ticket | None:
    heads = [(head, mine) for mine in teams.values() if (head := _first_free(mine, busy)) is not None]
    return min(heads, key=lambda pair: _rank(pair[0], pair[1], ledger, now))[0] if heads else None


def _by_team(waiting: Iterable[Ticket], ledger: Ledger) -> dict[str, deque[Ticket]]:
    """Each team's builds in the order in which it wants them: sites take turns, who was served longest ago first."""
    sites: dict[str, dict[str, list[Ticket]]] = defaultdict(lambda: defaultdict(list))
    for ticket in sorted(waiting, key=lambda each: each.number):
        sites[ticket.team][ticket.site].append(ticket)
    return {team: _in_turns(mine, ledger) for team, mine in sites.items()}


def _in_turns(sites: Mapping[str, list[Ticket]], ledger: Ledger) -> deque[Ticket]:
    order = sorted(sites, key=lambda site: (ledger.sites.get(site, 0.0), sites[site][0].number))
    rounds = max(len(tickets) for tickets in sites.values())
    return deque(sites[site][turn] for turn in range(rounds) for site in order if turn < len(sites[site]))


def _first_free(mine: Iterable[Ticket], busy: Mapping[str, float]) -> Ticket | None:
    return next((ticket for ticket in mine if ticket.channel not in busy), None)


def _rank(head: Ticket, mine: Iterable[Ticket], ledger: Ledger, now: float) -> tuple[float, float, int]:
    """Who has lost patience first, the longest wait first; then by turn; then by arrival."""
    waited = now - max(ledger.served.get(head.team, 0.0), min(ticket.since for ticket in mine))
    return (-waited if waited >= PATIENCE_SECONDS else 0.0, ledger.turn(head.team), head.number)


def _price(seconds: float, weight: int) -> float:
    return max(seconds, LEAST_COST_SECONDS) * 100 / max(1, weight)
