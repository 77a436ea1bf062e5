"""Droplets: a built tree as one archive that is named by its SHA-256, and the way back to a release folder."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sitewright.builder.bench import Bench
from sitewright.builder.open_box import OpenBox
from sitewright.builder.packs.base import Step
from sitewright.builder.scan import digest_of, leaked, member_at
from sitewright.builder.source import script
from sitewright.engines.base import Mount
from sitewright.system.accounts import is_root
from sitewright.system.files import flush_folder
from sitewright.system.ownership import PASSABLE, make_folder

OUT_TARGET = "/out"
_NAME = "droplet.tar"
LISTED = "installed.json"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A tree that is ready: regular files and links, bytes, and the archive's digest ("" in live mode)."""

    files: int
    size_bytes: int
    digest: str = ""


@dataclass(frozen=True, slots=True)
class SealOrder:
    """How to seal: ``out`` is the folder for the archive and the list of what was installed; ``dropped`` folders go; ``compiled``: make
    Python's bytecode; ``searched``: secrets that must not be in it, each with its variable."""

    quota_bytes: int
    out: Path
    packed: bool = True
    dropped: tuple[str, ...] = ()
    compiled: bool = False
    searched: Mapping[bytes, str] = field(default_factory=dict)


async def seal(bench: Bench, tree: Path, order: SealOrder, box: OpenBox | None = None) -> Sealed:
    """Make the tree readable for nginx, count it, pack it; in *box*, if there is one, which sees the tree and ``out``. Raises QuotaError,
    BuildError."""
    target = f"{OUT_TARGET}/{_NAME}" if order.packed else ""
    words = (str(order.quota_bytes), target, f"{OUT_TARGET}/{LISTED}", "yes" if order.compiled else "", *order.dropped)
    if box is not None:
        said = await box.go_on(words)
    else:
        said = await bench.ask(Step("Packing", script("seal", *words)), tree, mounts=(out_mount(order.out),))
    answer = json.loads(said.strip().splitlines()[-1])
    if "over" in answer:
        raise bench.over_quota()
    digest = await asyncio.to_thread(_checked_digest, order) if order.packed else ""
    return Sealed(int(answer["files"]), int(answer["bytes"]), digest)


def out_mount(out: Path) -> Mount:
    """Where a box puts what it has packed."""
    return Mount(out, OUT_TARGET, writable=True)


def _checked_digest(order: SealOrder) -> str:
    """Raises BuildError that names the file when a secret is in it."""
    archive = order.out / _NAME
    digest, found = digest_of(archive, order.searched)
    if found is not None:
        raise leaked(found.variable, member_at(archive, found.offset))
    return digest


def store_droplet(out: Path, digest: str, droplets: Path) -> None:
    """Put the archive where droplets are, under its digest; one that is there already is the same."""
    make_folder(droplets, PASSABLE)
    target = droplets / digest
    archive = out / _NAME
    if is_root():
        os.chown(archive, 0, 0, follow_symlinks=False)
    archive.chmod(0o644)
    archive.rename(target)
    flush_folder(droplets)
