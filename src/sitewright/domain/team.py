"""A team as a value, and its quota."""

from __future__ import annotations

from dataclasses import dataclass

from sitewright.domain.limits import MIB
from sitewright.domain.names import TeamName
from sitewright.errors import QuotaError


@dataclass(frozen=True, slots=True)
class Quota:
    """Upper bounds of a team, or what it uses: sites, bytes on disk, bytes of memory."""

    sites: int
    disk_bytes: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Team:
    """Owns sites; carries the quota."""

    id: str
    name: TeamName
    quota: Quota


def check_quota(allowed: Quota, used: Quota) -> None:
    """Raise QuotaError in words for the owner when *used* (with what is asked for added) is more than *allowed*."""
    if used.sites > allowed.sites:
        raise QuotaError(
            f"The team may have {allowed.sites} sites.",
            details="All of them are taken; nothing was changed.",
            resolution="Delete a site that is no longer needed, or ask an administrator for more.",
        )
    for what, limit, use in (
        ("disk space", allowed.disk_bytes, used.disk_bytes),
        ("memory", allowed.memory_bytes, used.memory_bytes),
    ):
        if use > limit:
            raise QuotaError(
                f"The team's {what} is used up.",
                details=f"{limit // MIB} MB are allowed, this would take {use // MIB} MB; nothing was changed.",
                resolution="Delete or stop something, or ask an administrator for more.",
            )
