"""Uploads, builds and releases as the API shows them."""

from __future__ import annotations

from datetime import datetime

from ninja import Field, Schema

from sitewright.manager.releases.models import Release

MOST_KEPT = 50


class UploadOut(Schema):
    """An upload: name it in a source as {"kind": "upload", "digest": …}."""

    digest: str
    size: int


class ChangeNumbers(Schema):
    """How many commits and files, how many lines."""

    commits: int
    files: int
    added: int
    removed: int


class AdoptedFrom(Schema):
    """Which release of which channel it was."""

    channel: str
    number: int


class EnvDiffOut(Schema):
    """Names of variables: only in the second release, only in the first, with another value. Values are not kept."""

    added: list[str]
    removed: list[str]
    changed: list[str]


class ReleaseOut(Schema):
    """A release. ``pack`` says what the builder took it for; ``live``: visitors get this one; ``kept``: its files are still on its
    node, so the channel can return to it; ``gone_at``: since when not any more. ``author`` and ``subject`` are the commit's; ``changes``
    is what differs from the release that was live before it. ``adopted_from``: it was built for another channel."""

    id: str
    number: int
    droplet: str
    size_bytes: int
    commit: str
    pack: str
    processes: list[str]
    live: bool
    kept: bool
    build: str | None
    created_at: datetime
    created_by: str
    channel: str
    author: str
    subject: str
    build_seconds: float
    changes: ChangeNumbers | None
    adopted_from: AdoptedFrom | None
    live_at: datetime | None
    gone_at: datetime | None


class ReleaseList(Schema):
    """A page of releases, newest first; ``keep`` is how many of each channel can be returned to."""

    items: list[ReleaseOut]
    next: str | None
    keep: int


class KeepIn(Schema):
    """How many releases of each channel are kept."""

    keep: int = Field(ge=1, le=MOST_KEPT)


class KeepOut(Schema):
    """How many releases of each channel are kept."""

    keep: int


def _adopted(original: Release | None) -> AdoptedFrom | None:
    return AdoptedFrom(channel=original.channel.name, number=original.number) if original else None


def release_out(release: Release, live_id: str | None, kept: frozenset[str]) -> ReleaseOut:
    """A row as the API shows it."""
    blueprint = release.blueprint or {}
    return ReleaseOut(
        id=release.id,
        number=release.number,
        droplet=release.droplet,
        size_bytes=release.size_bytes,
        commit=release.commit,
        pack=blueprint.get("pack", ""),
        processes=[one.get("type", "") for one in blueprint.get("processes") or []],
        live=release.id == live_id,
        kept=release.id in kept,
        build=release.build_id,
        created_at=release.created_at,
        created_by=release.created_by.email if release.created_by else "",
        channel=release.channel.name,
        author=release.author,
        subject=release.subject,
        build_seconds=release.build_seconds,
        changes=ChangeNumbers(**release.changes) if release.changes and "commits" in release.changes else None,
        adopted_from=_adopted(release.adopted_from),
        live_at=release.live_at,
        gone_at=release.gone_at,
    )
