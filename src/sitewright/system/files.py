"""Writing files so that a pulled plug leaves the old one or the new one, never half of one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sitewright.errors import SitewrightError


class CorruptFileError(SitewrightError):
    """A file's checksum does not match its contents."""

    code = "corrupt_file"


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Replace *path* by *data* in one rename. With *durable*, both the file and its folder are flushed to disk first."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
    if durable:
        flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Make renames in *folder* survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_symlink(link: Path, target: str) -> None:
    """Make *link* point to *target* in one rename: readers see the old target or the new one, never nothing."""
    temporary = link.with_name(f".{link.name}.{secrets.token_hex(4)}.tmp")
    temporary.symlink_to(target)
    try:
        temporary.replace(link)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise


def write_checked_json(path: Path, value: Any, *, mode: int = 0o600, durable: bool = True) -> None:
    """Store *value* with its own SHA-256, atomically."""
    body = json.dumps(value, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(body.encode()).hexdigest()
    write_atomic(path, f"{digest}\n{body}\n".encode(), mode=mode, durable=durable)


def read_checked_json(path: Path) -> Any:
    """What ``write_checked_json`` stored. Raises CorruptFileError when it was damaged, FileNotFoundError when it is not there."""
    return json.loads(checked_body(path.name, path.read_bytes()))


def checked_body(name: str, content: bytes) -> bytes:
    """The JSON inside a file that ``write_checked_json`` wrote. Raises CorruptFileError, naming the file, when it was damaged."""
    digest, _, body = content.partition(b"\n")
    body = body.rstrip(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise CorruptFileError(f"The file {name} is damaged.", resolution="It is set aside and fetched again from the manager.")
    return body


def scan_folder(folder: Path, suffix: str) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file there that ends with *suffix*, about in the order in which they lie on the disk. One that cannot
    be read is given as empty."""
    with os.scandir(folder) as entries:
        names = [(entry.inode(), entry.name) for entry in entries if entry.name.endswith(suffix)]
    above = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for _, name in sorted(names):
            yield name, _content(name, above)
    finally:
        os.close(above)


def _content(name: str, above: int) -> bytes:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=above)
    except OSError:
        return b""
    try:
        return os.read(descriptor, os.fstat(descriptor).st_size)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def remove_tree(top: Path) -> None:
    """Delete a folder and everything in it, however deep somebody has nested it; follows no link. Nothing happens when it is not there.

    Raises OSError. Folders are moved up to the top before they are opened, so neither the length of a path nor the number of open
    descriptors nor Python's stack sets a limit.
    """
    try:
        above = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        while names := os.listdir(above):  # noqa: PTH208 - a descriptor, not a path
            for name in names:
                if _is_folder(name, above):
                    _empty(name, above)
                    os.rmdir(name, dir_fd=above)
                else:
                    os.unlink(name, dir_fd=above)
    finally:
        os.close(above)
    top.rmdir()


def _is_folder(name: str, above: int) -> bool:
    return stat.S_ISDIR(os.lstat(name, dir_fd=above).st_mode)


def _empty(name: str, above: int) -> None:
    """Delete the files of a folder and move its folders one up, under new names."""
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    try:
        for inner in os.listdir(folder):  # noqa: PTH208
            if _is_folder(inner, folder):
                os.rename(inner, f".{secrets.token_hex(8)}.gone", src_dir_fd=folder, dst_dir_fd=above)
            else:
                os.unlink(inner, dir_fd=folder)
    finally:
        os.close(folder)
