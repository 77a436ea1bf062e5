"""Builds, what they installed, and the queue, as the API shows them."""

from __future__ import annotations

from datetime import datetime

from ninja import Schema

from sitewright.domain.states import BuildState
from sitewright.manager.releases.models import Build


class BuildOut(Schema):
    """A build. ``position`` in the queue of its node (0: not waiting) and how long that will be, as far as one can tell; ``seconds`` is how
    long it ran. ``message``, ``details`` and ``resolution`` say why it failed."""

    id: str
    site: str
    team: str
    channel: str
    state: BuildState
    phase: str
    position: int
    wait_seconds: float
    commit: str
    pack: str
    release: int | None
    seconds: float
    message: str
    details: str
    resolution: str
    created_at: datetime
    created_by: str
    started_at: datetime | None
    finished_at: datetime | None


class BuildList(Schema):
    """A page of builds, newest first."""

    items: list[BuildOut]
    next: str | None


class QueueList(Schema):
    """What is built now and what waits, in the order of their turn, as far as you may see it; ``others`` counts the rest."""

    items: list[BuildOut]
    next: str | None
    others: int


class ComponentOut(Schema):
    """One thing that was installed."""

    name: str
    version: str
    purl: str
    origin: str
    digest: str


class ArtefactList(Schema):
    """What a build put together; ``complete``: nothing is known to be missing."""

    items: list[ComponentOut]
    next: str | None
    complete: bool


class CachesOut(Schema):
    """What a site's build caches take, in bytes, by kind; ``limit_bytes`` is where the oldest goes."""

    bytes: dict[str, int]
    limit_bytes: int


def build_out(build: Build) -> BuildOut:
    """A row as the API shows it."""
    ran = (build.finished_at - build.started_at).total_seconds() if build.started_at and build.finished_at else 0.0
    release = getattr(build, "release", None)
    return BuildOut(
        id=build.id,
        site=build.channel.site.name,
        team=build.channel.site.team.name,
        channel=build.channel.name,
        state=BuildState(build.state),
        phase=build.phase,
        position=build.position if build.state == BuildState.QUEUED else 0,
        wait_seconds=build.wait_seconds if build.state == BuildState.QUEUED else 0.0,
        commit=build.commit,
        pack=(build.blueprint or {}).get("pack", ""),
        release=release.number if release else None,
        seconds=max(ran, 0.0),
        message=build.problem,
        details=build.details,
        resolution=build.resolution,
        created_at=build.created_at,
        created_by=build.created_by.email if build.created_by else "",
        started_at=build.started_at,
        finished_at=build.finished_at,
    )
