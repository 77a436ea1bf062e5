"""Looking for secrets in what a build has made: in the archive while its digest is made, and in the site's cache."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sitewright.errors import BuildError

CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Found:
    """Where in a file which variable's value stands."""

    offset: int
    variable: str


def open_plain(path: Path) -> int:
    """A descriptor of a regular file that may be a tenant's. Raises OSError, BuildError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BuildError("The build's archive is not a file.")
    return descriptor


def digest_of(archive: Path, searched: Mapping[bytes, str]) -> tuple[str, Found | None]:
    """SHA-256 of the archive and the first secret in it. One reading. Blocking: about a second a gigabyte, and half as much for
    each secret."""
    overlap = max(map(len, searched), default=1) - 1
    total = hashlib.sha256()
    found: Found | None = None
    with os.fdopen(open_plain(archive), "rb") as file:
        if not searched:
            return hashlib.file_digest(file, "sha256").hexdigest(), None
        before, at = b"", 0
        while chunk := file.read(CHUNK):
            total.update(chunk)
            if found is None:
                found = first_in(before + chunk, searched, at - len(before))
            before, at = (before + chunk)[-overlap:] if overlap else b"", at + len(chunk)
    return total.hexdigest(), found


def first_in(data: bytes, searched: Mapping[bytes, str], offset: int = 0) -> Found | None:
    """The first of the texts that stands in *data*, which begins at *offset*."""
    hits = [(place, name) for text, name in searched.items() if (place := data.find(text)) >= 0]
    return Found(offset + min(hits)[0], min(hits)[1]) if hits else None


def member_at(archive: Path, offset: int) -> str:
    """The name of the file that holds that byte of an archive."""
    with os.fdopen(open_plain(archive), "rb") as file, tarfile.open(fileobj=file, mode="r:") as members:
        for member in members:
            if offset < member.offset_data + member.size:
                return "".join(c if c.isprintable() else "?" for c in member.name.removeprefix("./"))[:200]
    return "a file"


def leaked(variable: str, file: str) -> BuildError:
    """The error for a secret in what was built; it names the file and the variable, never the value."""
    return BuildError(
        f"The value of the secret variable {variable} is in {file}.",
        details="What is built is kept and served, so no secret may be in it. The previous release keeps running.",
        resolution=f"Let the app read {variable} from its environment when it runs, or do not mark it as secret; then deploy again.",
    )


def forget_secrets(cache: Path, searched: Mapping[bytes, str], since: float) -> int:
    """Delete files of a site's cache that hold a secret and were changed after *since* (seconds since the epoch); their number. Blocking.

    The folder is the tenant's own, so no link is followed. No process of the tenant may be running.
    """
    gone = 0
    for folder, _, name in _holders(cache, searched, since):
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=folder)
            gone += 1
    return gone


def secret_in_tree(top: Path, searched: Mapping[bytes, str]) -> tuple[str, str] | None:
    """The variable whose value stands in a file below *top*, and that file. Blocking; follows no link."""
    for _, file, name in _holders(top, searched, 0.0):
        shown = os.path.relpath(f"{file[0]}/{name}", top)
        return file[1], "".join(c if c.isprintable() else "?" for c in shown)[:200]
    return None


def _holders(top: Path, searched: Mapping[bytes, str], since: float) -> Iterator[tuple[int, tuple[str, str], str]]:
    """Descriptor of the folder, (its path, variable) and name of each file that holds a secret."""
    with contextlib.suppress(FileNotFoundError):
        for above, _, names, folder in os.fwalk(top, follow_symlinks=False):
            for name in names:
                with contextlib.suppress(OSError):
                    info = os.lstat(name, dir_fd=folder)
                    if stat.S_ISREG(info.st_mode) and info.st_ctime >= since and (variable := _held(name, folder, searched)):
                        yield folder, (above, variable), name


def _held(name: str, folder: int, searched: Mapping[bytes, str]) -> str:
    """The variable whose value is in a file, "" for none."""
    overlap = max(map(len, searched)) - 1
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        before = b""
        while chunk := file.read(CHUNK):
            found = first_in(before + chunk, searched)
            if found is not None:
                return found.variable
            before = (before + chunk)[-overlap:]
    return ""
