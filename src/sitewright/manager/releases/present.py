"""What lies between two releases."""

from __future__ import annotations

from dataclasses import dataclass

from sitewright.errors import ConflictError
from sitewright.manager.releases.models import Release


@dataclass(frozen=True, slots=True)
class EnvDiff:
    """Names of variables: in the second only, in the first only, with another value."""

    added: list[str]
    removed: list[str]
    changed: list[str]


def env_diff(first: Release, second: Release) -> EnvDiff:
    """Between the variables with which the two went live. Raises ConflictError for one that never did."""
    for release in (first, second):
        if release.live_at is None:
            raise ConflictError(f"Release {release.number} was never live, so it had no variables.")
    old, new = first.variables, second.variables
    return EnvDiff(
        added=sorted(new.keys() - old.keys()),
        removed=sorted(old.keys() - new.keys()),
        changed=sorted(name for name in old.keys() & new.keys() if old[name] != new[name]),
    )


def one_before(release: Release) -> Release | None:
    """The release that visitors of its channel got before it: the newest of those with a lower number that were ever live."""
    rows = Release.objects.filter(channel=release.channel_id, number__lt=release.number).exclude(live_at=None)
    return rows.order_by("-number").first()
