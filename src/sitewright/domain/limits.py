"""What an instance, a build or a one-off may use."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024
USUAL_WEIGHT = 100
"""Of cgroup v2; version 1 and Docker call the same 1024."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds of one sandbox. Exceeding memory kills it, exceeding pids fails fork, CPU is throttled, log lines are dropped."""

    memory_bytes: int = 256 * MIB
    cpu_millicores: int = 1000
    cpu_weight: int = 100
    """Share of the processors when all want them, against the others' (cgroup v2's scale, 1–10000; 100 is usual)."""
    pids: int = 128
    open_files: int = 4096
    log_bytes_per_second: int = 64 * 1024
    scratch_bytes: int = 64 * MIB
    """Size of the private /tmp."""


@dataclass(frozen=True, slots=True)
class VisitLimits:
    """Upper bounds that the router keeps for one host of a channel; 0 is the platform's own bound. More is answered 429 or 413."""

    connections: int = 0
    """Requests under way at a time."""
    requests_per_second: int = 0
    body_mb: int = 0


UNLIMITED_VISITS = VisitLimits()

BUILD_LIMITS = Limits(
    memory_bytes=1536 * MIB, cpu_millicores=1000, pids=512, open_files=8192, log_bytes_per_second=MIB, scratch_bytes=1024 * MIB
)
BUILD_TIMEOUT_SECONDS = 900.0
MAX_SOURCE_BYTES = 1024 * MIB
MAX_SOURCE_FILES = 100_000


def cpu_shares(weight: int) -> int:
    """Version 1's and Docker's number (2–262144) for a weight of version 2 (1–10000)."""
    return min(262_144, max(2, weight * 1024 // USUAL_WEIGHT))
