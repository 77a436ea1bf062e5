"""Lines of nginx's access log as counts for each host. Pure but for the routing table's own symlinks, which say who an alternate was.

A line is JSON (docs/explanation/router.md has its fields). ``upstream`` names every try, ``…/r/<host>/3 : …/r/<host>/a3``; ``connects``,
``headers`` and ``upstream_status`` have a figure for each: seconds until connected (``-``: refused), until the answer's head, its status.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from pydantic_core import from_json

from sitewright.domain.route import SLOTS
from sitewright.domain.traffic import LATENCY_BUCKETS, HostTraffic, SlotTraffic

_BETWEEN = re.compile(r", | : ")
_ASKED, _REFUSED_HERE = b'"upstream":"unix:', b"REJECTED"
_SWITCHED = 101
_SERVER_ERROR = 500
REFUSED = "-"

Alternates = Callable[[str, str], int | None]
"""(host, name) → slot: which one an alternate (`a3`, `g3`) leads to; None when nobody knows any more."""


class Line(TypedDict, total=False):
    """What is read of a line. The first four are all that PHP's private server writes, and only when a connection was refused."""

    at: float
    host: str
    upstream: str
    connects: str
    status: int
    bytes: int
    seconds: float
    headers: str
    upstream_status: str
    limits: str


@dataclass(slots=True)
class _Slot:
    requests: int = 0
    errors: int = 0
    refused: int = 0
    latency: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BUCKETS) + 1))


@dataclass(slots=True)
class _Host:
    last_at: float = 0.0
    requests: int = 0
    errors: int = 0
    limited: int = 0
    sent_bytes: int = 0
    seconds: float = 0.0
    slots: dict[int, _Slot] = field(default_factory=dict)


def linked_alternates(routes: Path) -> Alternates:
    """Look alternates up in the routing table that nginx follows."""

    def find(host: str, name: str) -> int | None:
        try:
            return int((routes / host / name).readlink().name.lstrip("f"))
        except (OSError, ValueError):
            return None

    return find


def read_lines(data: bytes) -> list[Line]:
    """The lines that tell of an app or of a limit: files that nginx served itself are no visit. Broken ones are left out."""
    lines = [line for line in data.split(b"\n") if _ASKED in line or _REFUSED_HERE in line]
    try:
        found: list[Line] = from_json(b"[" + b",".join(lines) + b"]", cache_strings="keys")
    except ValueError:
        found = list(_one_by_one(lines))
    return found


def _one_by_one(lines: Iterable[bytes]) -> Iterable[Line]:
    for line in lines:
        try:
            value = from_json(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value  # type: ignore[misc]


class TrafficCount:
    """Adds lines up until somebody takes the sums."""

    def __init__(self, routes: Path) -> None:
        self._below = f"unix:{routes}{os.sep}"
        self._alternate = linked_alternates(routes)
        self._hosts: dict[str, _Host] = {}

    def add(self, data: bytes, since: float = 0.0) -> None:
        """Count whole lines that were written at *since* (seconds since the epoch) or later."""
        for line in read_lines(data):
            try:
                if line["at"] >= since:
                    self._count(line)
            except (KeyError, TypeError, ValueError):
                continue

    def take(self) -> tuple[HostTraffic, ...]:
        """What was counted since the last time."""
        hosts, self._hosts = self._hosts, {}
        return tuple(_frozen(name, host) for name, host in hosts.items())

    def _count(self, line: Line) -> None:
        upstream = line["upstream"]
        limited = "REJECTED" in line.get("limits", "")
        if not limited and not upstream.startswith(self._below):
            return
        name = line["host"]
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = _Host()
        if limited:
            host.limited += 1
            return
        connects = line["connects"]
        if " " in upstream or connects == REFUSED:
            self._tries(host, line)
        else:
            slot = _slot(host, int(upstream[upstream.rindex("/") + 1 :]))
            _answered(slot, line.get("upstream_status", ""), line.get("headers", ""))
        if "status" in line:
            _finished(host, line)

    def _tries(self, host: _Host, line: Line) -> None:
        """Several: all but the last one failed."""
        statuses, headers = _BETWEEN.split(line.get("upstream_status", "")), _BETWEEN.split(line.get("headers", ""))
        connects = _BETWEEN.split(line["connects"])
        for number, path in enumerate(_BETWEEN.split(line["upstream"])):
            name = path[path.rfind("/") + 1 :]
            where = self._alternate(line["host"], name) if name[:1] in {"a", "g"} else int(name.lstrip("f"))
            if where is None or number >= len(connects) or not 0 <= where < SLOTS:
                continue
            slot = _slot(host, where)
            if connects[number] == REFUSED:
                slot.refused += 1
            elif "status" in line:
                _answered(slot, statuses[number], headers[number])


def _slot(host: _Host, number: int) -> _Slot:
    slot = host.slots.get(number)
    if slot is None:
        slot = host.slots[number] = _Slot()
    return slot


def _answered(slot: _Slot, status: str, head: str) -> None:
    """One try that was connected."""
    slot.requests += 1
    if status >= "500":
        slot.errors += 1
    if head != REFUSED:
        slot.latency[bisect_left(LATENCY_BUCKETS, float(head))] += 1


def _finished(host: _Host, line: Line) -> None:
    host.last_at = max(host.last_at, line["at"])
    host.requests += 1
    host.errors += line["status"] >= _SERVER_ERROR
    host.sent_bytes += line["bytes"]
    if line["status"] != _SWITCHED:
        host.seconds += line["seconds"]


def _frozen(name: str, host: _Host) -> HostTraffic:
    slots = tuple(
        SlotTraffic(number, slot.requests, slot.errors, slot.refused, tuple(slot.latency)) for number, slot in sorted(host.slots.items())
    )
    return HostTraffic(name, host.last_at, host.requests, host.errors, host.limited, host.sent_bytes, host.seconds, slots)
