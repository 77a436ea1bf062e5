"""What visitors did, counted by the router and handed on in batches. Values only; nobody on a request's path makes them."""

from __future__ import annotations

from dataclasses import dataclass

LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds, as Prometheus' default buckets; one more bucket holds what took longer."""


@dataclass(frozen=True, slots=True)
class SlotTraffic:
    """What one slot of one host answered. ``errors``: answers 500–599 and connections that broke; ``refused``: connections that were
    never made, so that another slot was asked. ``latency``: how many answers fell into each bucket (len(LATENCY_BUCKETS) + 1 numbers)."""

    slot: int
    requests: int = 0
    errors: int = 0
    refused: int = 0
    latency: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class HostTraffic:
    """What one host name's app was asked since the last batch; files that nginx served itself do not count.

    ``last_at``: when the last answer ended, seconds since the epoch. ``limited``: refused because of the site's own limits (429, 529).
    """

    host: str
    last_at: float
    requests: int = 0
    errors: int = 0
    limited: int = 0
    sent_bytes: int = 0
    seconds: float = 0.0
    slots: tuple[SlotTraffic, ...] = ()
