"""How many copies of each process a channel runs and what each may use: the plan, and below it what the owner has said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sitewright.domain.processes import ProcessScale, ProcessSpec
from sitewright.domain.release import Blueprint
from sitewright.errors import InvalidValueError, NotFoundError
from sitewright.manager.sites.blueprints import blueprint_of
from sitewright.manager.sites.models import Channel
from sitewright.manager.sites.wishes import figures_of
from sitewright.manager.teams.allowance import Allowance, check_limits, limits_of

WEB, RELEASE_COMMAND, ONE_OFF = "web", "release", "run"
MOST_COPIES = 16
"""One for each slot of the router."""
Asked = Mapping[str, Mapping[str, int | None]]
"""Process type → what to change; None goes back to the plan's."""


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One process type of a channel's release with its scale. ``fixed``: how many run is not for the owner to say."""

    spec: ProcessSpec
    scale: ProcessScale
    fixed: bool


def stored(channel: Channel) -> dict[str, dict[str, int]]:
    """What the owner has said."""
    return dict(channel.scale or {})


def _wanted(channel: Channel) -> dict[str, dict[str, int]]:
    """What holds below the plan: what the owner has said, else what the release wishes."""
    said, wished = stored(channel), figures_of(channel, MOST_COPIES)
    return {name: {**wished.get(name, {}), **said.get(name, {})} for name in said.keys() | wished.keys()}


def blueprints(channel: Channel) -> list[Blueprint]:
    """What its release and the one on trial are made of."""
    return [blueprint_of(release.blueprint) for release in (channel.release, channel.canary_release) if release is not None]


def runs_by_itself(spec: ProcessSpec) -> bool:
    """Whether copies of it run all the time: neither a cron process nor the release command."""
    return spec.schedule is None and spec.type != RELEASE_COMMAND


def _scale(process_type: str, asked: Mapping[str, int], allowance: Allowance, *, fixed: bool) -> ProcessScale:
    count = 1 if fixed else asked.get("count", 1)
    return ProcessScale(type=process_type, count=count, limits=limits_of(allowance, asked))


def scale_of(channel: Channel, allowance: Allowance) -> tuple[ProcessScale, ...]:
    """The scale of every process type, one-off runs included, by name."""
    said = _wanted(channel)
    fixed = {ONE_OFF: True} | {spec.type: not runs_by_itself(spec) for one in blueprints(channel) for spec in one.processes}
    names = sorted({*fixed, *stored(channel)})
    return tuple(_scale(name, said.get(name, {}), allowance, fixed=fixed.get(name, False)) for name in names)


def process_rows(channel: Channel, allowance: Allowance) -> list[ProcessRow]:
    """The process types of its release, as they are in the Procfile."""
    said = _wanted(channel)
    listed = blueprint_of(channel.release.blueprint).processes if channel.release else ()
    rows = []
    for spec in listed:
        fixed = not runs_by_itself(spec)
        rows.append(ProcessRow(spec, _scale(spec.type, said.get(spec.type, {}), allowance, fixed=fixed), fixed))
    return rows


def wanted_memory(channel: Channel, allowance: Allowance) -> int:
    """Bytes that everything which runs all the time may take together, a release on trial included; 0 when nothing is deployed."""
    said = _wanted(channel)
    total = 0
    for release, slots in ((channel.release, 16), (channel.canary_release, channel.canary_slots)):
        if release is None:
            continue
        for spec in blueprint_of(release.blueprint).processes:
            if runs_by_itself(spec):
                one = _scale(spec.type, said.get(spec.type, {}), allowance, fixed=False)
                copies = one.count if release is channel.release else canary_copies(one.count, slots) if spec.type == WEB else 0
                total += copies * one.limits.memory_bytes
    return total


def canary_copies(count: int, slots: int) -> int:
    """How many copies of a release on trial its node starts."""
    return max(1, round(count * slots / 16)) if count else 0


def merged(channel: Channel, asked: Asked, allowance: Allowance) -> dict[str, dict[str, int]]:
    """What the owner has said once *asked* is added. Raises NotFoundError for a process that there is not, InvalidValueError."""
    specs = {spec.type: spec for one in blueprints(channel) for spec in one.processes}
    result = stored(channel)
    for name, change in asked.items():
        if name not in specs:
            _refuse_unknown(name, specs, channel)
        _check_count(name, change.get("count"), specs.get(name))
        kept: dict[str, Any] = {**result.get(name, {}), **change}
        kept = {key: value for key, value in kept.items() if value is not None}
        check_limits(allowance, {key: value for key, value in change.items() if value is not None})
        result[name] = kept
    return {name: kept for name, kept in result.items() if kept}


def _refuse_unknown(name: str, specs: Mapping[str, ProcessSpec], channel: Channel) -> None:
    if channel.release is None:
        raise NotFoundError("Nothing was deployed to this site yet.", resolution="Deploy it first; then its processes are known.")
    if not specs:
        raise NotFoundError("This site is files only.", details="The router serves them itself; nothing has to run, nothing to scale.")
    known = ", ".join(sorted(specs))
    raise NotFoundError(f"The site has no process “{name[:20]}”.", details=f"It has: {known}.", resolution="Name one of these.")


def _check_count(name: str, count: int | None, spec: ProcessSpec | None) -> None:
    if count is None:
        return
    if spec is not None and not runs_by_itself(spec):
        raise InvalidValueError(
            f"How many copies of “{name}” run cannot be set.", details="It runs when its time has come, and ends by itself."
        )
    if name == WEB and count == 0:
        raise InvalidValueError("A site needs at least one web process.", resolution="To let nothing of it run, stop the site.")
    if not 0 <= count <= MOST_COPIES:
        raise InvalidValueError(f"{count} copies of “{name}” are not possible.", details=f"0 to {MOST_COPIES} are.")
