"""Uploads, builds and releases as the API shows them."""

from __future__ import annotations

from datetime import datetime

from ninja import Schema

from sitewright.manager.releases.models import Release


class UploadOut(Schema):
    """An upload: name it in a source as {"kind": "upload", "digest": …}."""

    digest: str
    size: int


class ReleaseOut(Schema):
    """A release. ``pack`` says what the builder took it for; ``live``: visitors get this one; ``kept``: its files are still on its
    node, so the site can return to it."""

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


class ReleaseList(Schema):
    """A page of releases, newest first."""

    items: list[ReleaseOut]
    next: str | None


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
    )
