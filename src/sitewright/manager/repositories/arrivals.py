"""What a fetch has brought, and what follows from it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sitewright.domain.git import BRANCHES, TAGS, RefUpdate
from sitewright.manager.repositories.vendors.reading import COMMIT, reference

MOST_REFS = 2000
"""Branches and tags that are followed of one repository."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed over there since the last time. ``gone`` are names that were known and are not there any more."""

    changed: Mapping[str, str]
    gone: Mapping[str, str]
    """Name → the commit that was known."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done with the site's own branches and tags."""

    deletions: tuple[RefUpdate, ...]
    moves: tuple[RefUpdate, ...]
    arrivals: Mapping[str, str]
    """Branch → commit, for branches that channels follow: their deploys move them."""
    heads: Mapping[str, str]
    """Where those branches are now, as far as that is known."""
    previews: Mapping[str, str]
    """Branch → commit, "" when it is gone, for branches that no channel follows."""
    kept: tuple[str, ...]
    """Branches that are gone over there, but that a channel follows."""


def sensible(refs: Mapping[str, str]) -> dict[str, str]:
    """Branches and tags whose names and commits have the right form, at most 2,000: branches before tags, by name."""
    good = [name for name, commit in refs.items() if reference(name) and COMMIT.fullmatch(commit)]
    return {name: refs[name] for name in sorted(good, key=lambda name: (not name.startswith(BRANCHES), name))[:MOST_REFS]}


def difference(known: Mapping[str, str], now: Mapping[str, str]) -> Difference:
    """What differs between two looks."""
    changed = {name: commit for name, commit in now.items() if known.get(name) != commit}
    return Difference(changed, {name: commit for name, commit in known.items() if name not in now})


def plan(seen: Difference, local: Mapping[str, str], followed: Collection[str]) -> Plan:
    """*local*: the site's own names and commits. What somebody made or moved here by a push of their own is not deleted."""
    deletions, moves, arrivals, previews, kept = [], [], {}, {}, []
    for name, commit in sorted(seen.changed.items()):
        branch = _branch(name)
        if branch and branch in followed:
            if local.get(name) != commit:
                arrivals[branch] = commit
            continue
        if local.get(name, "") != commit:
            moves.append(RefUpdate(name, local.get(name, ""), commit, forced=True))
        if branch:
            previews[branch] = commit
    for name, commit in sorted(seen.gone.items()):
        branch = _branch(name)
        if branch and branch in followed:
            kept.append(branch)
        elif local.get(name) == commit:
            deletions.append(RefUpdate(name, commit, ""))
            if branch:
                previews[branch] = ""
    heads = {branch: local[BRANCHES + branch] for branch in arrivals if BRANCHES + branch in local}
    return Plan(tuple(deletions), tuple(moves), arrivals, heads, previews, tuple(kept))


def _branch(name: str) -> str:
    return name.removeprefix(BRANCHES) if name.startswith(BRANCHES) and not name.startswith(TAGS) else ""
