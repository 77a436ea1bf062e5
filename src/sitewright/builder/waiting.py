"""The builds that wait on this node: their tickets, what was served before, and what builds have cost, kept over a restart.

The tickets themselves are in the builds' own folders (``store``); what is kept here may be lost without harm: fairness then begins anew.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from sitewright.builder.queue import Ledger, Place, Slots, Ticket, choose, ended, places, started, trimmed
from sitewright.bus.messages import BuildRequest, TemplateSource
from sitewright.system.files import CorruptFileError, read_checked_json, write_checked_json

USUAL_SECONDS = 10.0
"""Of a build of which nothing is known."""
MOST_COSTS = 2000
NEWEST_SHARE = 0.5
"""How much the last build says about the next one, against those before it."""


class WaitingRoom:
    """Who waits, who is next, and how long. *path* is the file that is kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tickets: dict[str, Ticket] = {}
        self._ledger = Ledger()
        self._costs: dict[str, float] = {}
        self.changes = 0
        """Goes up whenever somebody's place may have changed."""

    def load(self) -> None:
        """Take up what was kept; a file that is damaged or of another version counts as none."""
        with contextlib.suppress(OSError, CorruptFileError, TypeError, ValueError, KeyError):
            kept = read_checked_json(self._path)
            self._ledger = Ledger(**kept["ledger"])
            self._costs = {str(key): float(cost) for key, cost in kept["costs"].items()}

    def save(self) -> None:
        """Keep it. Not flushed: a pulled plug may cost the last few builds' entries."""
        self._ledger = trimmed(self._ledger, self._tickets.values())
        with contextlib.suppress(OSError):
            write_checked_json(self._path, {"ledger": asdict(self._ledger), "costs": self._costs}, durable=False)

    def add(self, request: BuildRequest, since: float, number: int) -> None:
        """Somebody queues up."""
        self.changes += 1
        self._tickets[request.build_id] = Ticket(
            build_id=request.build_id,
            team=request.team_id or request.site_id,
            site=request.site_id,
            channel=request.channel_id,
            since=since,
            number=number,
            cost=self.expected(request),
            weight=request.weight,
        )

    def leave(self, build_id: str) -> bool:
        """Somebody does not wait any more; False when they did not."""
        self.changes += 1
        return self._tickets.pop(build_id, None) is not None

    def __len__(self) -> int:
        return len(self._tickets)

    def next(self, slots: Slots, now: float) -> Ticket | None:
        """Whose turn it is, if there is a free slot for them."""
        return choose(self._tickets.values(), slots, self._ledger, now)

    def begin(self, ticket: Ticket, now: float) -> None:
        """It is started."""
        self.leave(ticket.build_id)
        self._ledger = started(self._ledger, ticket, now)

    def end(self, ticket: Ticket, seconds: float) -> None:
        """It took so long; its team pays that."""
        self.changes += 1
        self._ledger = ended(self._ledger, ticket, seconds)

    def places(self, slots: Slots, now: float) -> tuple[Place, ...]:
        """Everybody's place and wait."""
        return places(self._tickets.values(), slots, self._ledger, now)

    def expected(self, request: BuildRequest) -> float:
        """Seconds that a build will probably take: as the channel's last ones, else the site's, else those from the same kind of source."""
        return next((self._costs[key] for key in _keys(request) if key in self._costs), USUAL_SECONDS)

    def learn(self, request: BuildRequest, seconds: float) -> None:
        """A build has succeeded in that time."""
        for key in _keys(request):
            before = self._costs.pop(key, seconds)
            self._costs[key] = before + (seconds - before) * NEWEST_SHARE
        while len(self._costs) > MOST_COSTS:
            del self._costs[next(iter(self._costs))]


def _keys(request: BuildRequest) -> tuple[str, ...]:
    source = request.source
    kind = f"template {source.name}" if isinstance(source, TemplateSource) else source.kind
    return f"channel {request.channel_id}", f"site {request.site_id}", f"kind {kind}"


def slots_of(count: int, running: Mapping[str, tuple[Ticket, float]], now: float) -> Slots:
    """The slots, from what runs: build → (ticket, when it began in the same seconds as *now*)."""
    return Slots(count, {ticket.channel: max(1.0, ticket.cost - (now - began)) for ticket, began in running.values()})
