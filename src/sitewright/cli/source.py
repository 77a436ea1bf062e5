"""What `--from` means: a folder, an archive, a git address or a container image; and sending the first two."""

from __future__ import annotations

import gzip
import os
import re
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from sitewright.cli.client import Client
from sitewright.cli.ignore import walk
from sitewright.errors import InvalidValueError

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
CHUNK_BYTES = 256 * 1024
IMAGE_PREFIX = "image:"
_SCP_LIKE = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:.+")

Progress = Callable[[int], None]
"""Called with the number of bytes read so far."""


class Kind(StrEnum):
    """What a source is."""

    FOLDER = "folder"
    ARCHIVE = "archive"
    GIT = "git"
    IMAGE = "image"


@dataclass(frozen=True, slots=True)
class Source:
    """What to deploy. ``where`` is a path, a git address or an image's name, ``ref`` a branch, tag or commit ("" is the default)."""

    kind: Kind
    where: str
    ref: str = ""


def decide(text: str) -> Source:
    """What the words after --from mean. `ADDRESS#ref` names a branch, tag or commit. Raises InvalidValueError."""
    if text.startswith(IMAGE_PREFIX):
        return Source(Kind.IMAGE, text.removeprefix(IMAGE_PREFIX))
    if "://" in text or _SCP_LIKE.fullmatch(text):
        where, _, ref = text.partition("#")
        if where.lower().endswith(ARCHIVES):
            raise InvalidValueError(
                "An archive is taken from a file, not from the network.", resolution="Download it and give the path of the file."
            )
        return Source(Kind.GIT, where, ref)
    path = Path(text).expanduser()
    if path.is_dir():
        return Source(Kind.FOLDER, str(path))
    if not path.exists():
        raise InvalidValueError(
            f"There is no “{text}” here.", resolution="Give a folder, an archive (.zip, .tar.gz) or a git address (https://…, git@…)."
        )
    if not path.name.lower().endswith(ARCHIVES):
        raise InvalidValueError(f"“{path.name}” is not an archive that can be read.", resolution=f"Use one of {', '.join(ARCHIVES)}.")
    return Source(Kind.ARCHIVE, str(path))


def _bare(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without what differs between two machines, so that an unchanged folder is recognised."""
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    info.mode = 0o755 if info.mode & 0o100 or info.isdir() else 0o644
    return info


def _write_tar(root: Path, paths: list[str], pipe: int, failures: list[BaseException]) -> None:
    """Into the pipe, in a thread of its own; a failure is left in *failures*."""
    try:
        with (
            os.fdopen(pipe, "wb") as out,
            gzip.GzipFile(filename="", fileobj=out, mode="wb", compresslevel=3, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|") as tar,
        ):
            for path in paths:
                tar.add(root / path, arcname=path, recursive=False, filter=_bare)
    except BrokenPipeError:
        return
    except Exception as error:
        failures.append(error)


def pack(root: Path, paths: list[str]) -> Iterator[bytes]:
    """The files as a tar.gz, in chunks, without a copy on disk or in memory. Raises InvalidValueError when a file cannot be read."""
    reading, writing = os.pipe()
    failures: list[BaseException] = []
    writer = threading.Thread(target=_write_tar, args=(root, paths, writing, failures), daemon=True)
    writer.start()
    with os.fdopen(reading, "rb") as pipe:
        while chunk := pipe.read(CHUNK_BYTES):
            yield chunk
    writer.join()
    if failures:
        raise InvalidValueError("A file could not be read.", details=str(failures[0]), resolution="Nothing was deployed; make it readable.")


def _file_chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _counted(chunks: Iterator[bytes], progress: Progress) -> Iterator[bytes]:
    sent = 0
    for chunk in chunks:
        yield chunk
        sent += len(chunk)
        progress(sent)


def send(client: Client, source: Source, progress: Progress) -> dict[str, Any]:
    """Upload what is on this machine; the source as the API wants it."""
    if source.kind is Kind.GIT:
        return {"kind": "git", "url": source.where, "ref": source.ref}
    if source.kind is Kind.IMAGE:
        return {"kind": "image", "reference": source.where}
    path = Path(source.where).resolve()
    if source.kind is Kind.FOLDER:
        paths = list(walk(path))
        if not paths:
            raise InvalidValueError(
                f"The folder “{path.name}” has nothing to deploy.", resolution="Put files into it, or look at its .gitignore."
            )
        filename, chunks = f"{path.name or 'source'}.tar.gz", pack(path, paths)
    else:
        filename, chunks = path.name, _file_chunks(path)
    uploaded = client.upload(_counted(chunks, progress), filename)
    return {"kind": "upload", "digest": uploaded["digest"], "name": filename}
