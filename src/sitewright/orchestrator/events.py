"""Events wait on disk until the manager has acknowledged them."""

from __future__ import annotations

import json
import logging
from collections import deque
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sitewright.domain.events import Event, EventKind
from sitewright.domain.identity import new_id
from sitewright.orchestrator.tally import Tally, when
from sitewright.system.clock import Clock
from sitewright.system.files import write_atomic

log = logging.getLogger(__name__)

_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)
COUNTED = frozenset({EventKind.INSTANCE_OUT_OF_MEMORY})
"""Kinds whose text says when it was and how often that day: who reads one line wants to know whether it happens all the time."""
MOST_KEPT = 10_000
"""With the manager away for long, the oldest events go first: a node's disk is not for a flood of them."""


class EventSpool:
    """An append-only file of events, oldest first."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._events: deque[Event] = deque(maxlen=MOST_KEPT)
        self._lines = 0
        self.tally = Tally(path.with_name("tally.json"))

    def load(self) -> None:
        """Read what was not acknowledged before; a line cut off by a crash is dropped."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._path.exists():
            return
        lines = self._path.read_text(errors="replace").splitlines()
        for line in lines:
            try:
                self._events.append(_ADAPTER.validate_json(line))
            except ValidationError:
                log.warning("events.damaged_line")
        if len(self._events) != len(lines):
            self._rewrite()
        self._lines = len(self._events)

    def emit(self, kind: EventKind, site_id: str, channel_id: str, text: str, *, who: str = "") -> Event:
        """Keep a new event; *who* is an e-mail address, "" for the platform."""
        now = self._clock.now()
        if kind in COUNTED:
            text = f"{text.removesuffix('.')} {when(now, self.tally.again(channel_id, kind, now))}."
        event = Event(new_id(), kind, site_id, channel_id, now, text, who)
        self._events.append(event)
        try:
            if self._lines >= 2 * MOST_KEPT:
                self._rewrite()
            else:
                with self._path.open("a") as file:
                    file.write(json.dumps(_ADAPTER.dump_python(event, mode="json")) + "\n")
                self._lines += 1
        except OSError as error:
            log.error("events.not_kept", extra={"reason": error.strerror})
        return event

    def oldest(self, limit: int = 200) -> tuple[Event, ...]:
        """The next ones to send."""
        return tuple(self._events)[:limit]

    def acknowledge(self, events: tuple[Event, ...]) -> None:
        """Drop what the manager has."""
        done = {event.id for event in events}
        self._events = deque((e for e in self._events if e.id not in done), maxlen=MOST_KEPT)
        self._rewrite()

    def _rewrite(self) -> None:
        """Leave in the file what is kept, and nothing else."""
        body = "".join(json.dumps(_ADAPTER.dump_python(e, mode="json")) + "\n" for e in self._events)
        write_atomic(self._path, body.encode(), mode=0o600, durable=False)
        self._lines = len(self._events)

    def __len__(self) -> int:
        return len(self._events)
