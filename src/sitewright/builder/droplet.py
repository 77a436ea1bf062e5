"""Droplets: a built tree as one archive that is named by its SHA-256, and the way back to a release folder."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from sitewright.builder.bench import Bench
from sitewright.builder.packs.base import Step
from sitewright.builder.source import script
from sitewright.engines.base import Mount
from sitewright.errors import BuildError
from sitewright.system.accounts import is_root
from sitewright.system.files import flush_folder
from sitewright.system.ownership import PASSABLE, make_folder

OUT_TARGET = "/out"
_NAME = "droplet.tar"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A tree that is ready: regular files and links, bytes, and the archive's digest ("" in live mode)."""

    files: int
    size_bytes: int
    digest: str = ""


@dataclass(frozen=True, slots=True)
class SealOrder:
    """How to seal: ``out`` is the folder for the archive (None for none); ``dropped`` folders go; ``compiled``: make Python's bytecode."""

    quota_bytes: int
    out: Path | None = None
    dropped: tuple[str, ...] = ()
    compiled: bool = False


async def seal(bench: Bench, tree: Path, order: SealOrder) -> Sealed:
    """Make the tree readable for nginx, count it, pack it. Raises QuotaError, BuildError."""
    target = f"{OUT_TARGET}/{_NAME}" if order.out else ""
    argv = script("seal", str(order.quota_bytes), target, "yes" if order.compiled else "", *order.dropped)
    mounts = (Mount(order.out, OUT_TARGET, writable=True),) if order.out else ()
    answer = json.loads((await bench.ask(Step("Packing", argv), tree, mounts=mounts)).strip().splitlines()[-1])
    if "over" in answer:
        raise bench.over_quota()
    digest = await asyncio.to_thread(_digest, order.out / _NAME) if order.out else ""
    return Sealed(int(answer["files"]), int(answer["bytes"]), digest)


def _digest(archive: Path) -> str:
    """Blocking: about a second a gigabyte."""
    descriptor = os.open(archive, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise BuildError("The build's archive is not a file.")
        return hashlib.file_digest(file, "sha256").hexdigest()


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
