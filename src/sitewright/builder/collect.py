"""Which droplets may go. Pure: names and times in, names out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sitewright.bus.messages import BuildRequest, BuildStatus
from sitewright.domain.release import KEPT_RELEASES
from sitewright.domain.states import BuildState

KEPT_DROPLETS = KEPT_RELEASES + 3
"""Of each channel. More than the releases that can be returned to: a build that ended well may have become no release."""
YOUNGEST_SECONDS = 3600.0
"""A droplet is on disk before the build is said to have succeeded, and long before anybody names it."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What must stay: ``droplets`` that channels want or serve, or that are being unpacked; ``sites`` that this node was told about."""

    droplets: frozenset[str]
    sites: frozenset[str]


def unneeded(changed: Mapping[str, float], builds: Iterable[tuple[BuildRequest, BuildStatus]], needs: Needs, now: float) -> tuple[str, ...]:
    """Of the droplets on disk (digest → when it was put there, seconds since the epoch) those that nobody can come back to.

    A droplet that two sites share stays while one of them needs it.
    """
    numbered: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for request, status in builds:
        if status.state is BuildState.SUCCEEDED and status.droplet and request.site_id in needs.sites:
            numbered.setdefault((request.site_id, request.channel), []).append((request.release_number, status.droplet))
    kept = set(needs.droplets)
    for releases in numbered.values():
        kept.update(digest for _, digest in sorted(releases, reverse=True)[:KEPT_DROPLETS])
    return tuple(sorted(digest for digest, at in changed.items() if digest not in kept and now - at >= YOUNGEST_SECONDS))
