"""Files of a live channel: list, read, write, delete; beneath its folder, as the tenant, a whole file at a time."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sitewright.bus.messages import Ack, FileContent, FileEntry, FileKind, FileListing, FileQuery, FileWrite
from sitewright.config.settings import Settings
from sitewright.domain.identity import is_id
from sitewright.domain.names import ChannelName
from sitewright.errors import ConflictError, InvalidValueError, NotFoundError, QuotaError, SitewrightError
from sitewright.system.accounts import tenant_uid
from sitewright.system.openat import TenantThread, as_tenant, open_beneath

T = TypeVar("T")

MOST_BYTES = 1024 * 1024
MOST_ENTRIES = 5000
LONGEST_PATH = 1024


def version_of(data: bytes) -> str:
    """The fingerprint of a file's contents."""
    return hashlib.sha256(data).hexdigest()[:16]


_WORDS: dict[int, tuple[type[SitewrightError], str, str]] = {
    errno.ENOENT: (NotFoundError, "There is no “{}”.", ""),
    errno.EISDIR: (InvalidValueError, "“{}” is a folder.", ""),
    errno.ENOTDIR: (InvalidValueError, "A part of “{}” is not a folder.", ""),
    errno.EEXIST: (ConflictError, "“{}” is there already.", ""),
    errno.ENOSPC: (QuotaError, "There is no space left for “{}”.", "Delete something first; nothing was changed."),
    errno.EDQUOT: (QuotaError, "There is no space left for “{}”.", "Delete something first; nothing was changed."),
}


def _said(error: OSError, path: str) -> SitewrightError:
    """An error of the file system in words for the owner."""
    shown = path or "the folder"
    if error.errno in (errno.EXDEV, errno.ELOOP, errno.EPERM, errno.EACCES):
        return InvalidValueError(f"“{shown}” cannot be opened.", details="It leads out of the site's folder, or its modes forbid it.")
    kind, message, resolution = _WORDS.get(error.errno or 0, (InvalidValueError, "“{}” cannot be used.", ""))
    return kind(message.format(shown), details="" if resolution else error.strerror or "", resolution=resolution)


def clean_path(path: str) -> str:
    """*path* without empty parts. Raises InvalidValueError for one that no file of a site can have."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in path or len(path) > LONGEST_PATH or any(len(os.fsencode(part)) > 255 for part in parts):
        raise InvalidValueError("This is not a path inside the site's folder.", resolution="Give it relative to the folder, without “..”.")
    return "/".join(parts)


class LiveFiles:
    """Answers the files methods of the bus."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = TenantThread()

    def close(self) -> None:
        """Let go of the thread."""
        self._thread.close()

    async def list(self, query: FileQuery) -> FileListing:
        """A folder's entries, folders first, by name; at most 5,000."""
        path = clean_path(query.path)
        return await self._beneath(query, path, lambda root: _list(root, path))

    async def read(self, query: FileQuery) -> FileContent:
        """A file's bytes. Raises InvalidValueError for a larger one than 1 MiB."""
        path = clean_path(query.path)
        return _content(await self._beneath(query, path, lambda root: _read(root, path)))

    async def write(self, query: FileWrite) -> FileContent:
        """Replace a file in one rename. Raises ConflictError when it is not the version that the writer had read."""
        path = clean_path(query.path)
        try:
            data = base64.b64decode(query.data, validate=True)
        except binascii.Error as error:
            raise InvalidValueError("The file's bytes are not base64.") from error
        if not path or len(data) > MOST_BYTES:
            raise InvalidValueError("A file of at most 1 MiB with a name is needed.")
        await self._beneath(query, path, lambda root: _write(root, path, data, query.version))
        return _content(data)

    async def delete(self, query: FileQuery) -> Ack:
        """Delete a file, a link, or a folder with everything in it."""
        path = clean_path(query.path)
        if not path:
            raise InvalidValueError("The folder itself cannot be deleted.", resolution="Delete the site instead.")
        await self._beneath(query, path, lambda root: _delete(root, path))
        return Ack()

    async def _beneath(self, query: FileQuery | FileWrite, path: str, work: Callable[[int], T]) -> T:
        if not is_id(query.site_id):
            raise InvalidValueError("This is not a site's id.")
        folder = self._settings.paths.live_folder(query.site_id, ChannelName(query.channel))
        uid = tenant_uid(self._settings.uid_base, query.number)

        def run() -> T:
            root = _open_root(folder)
            try:
                return as_tenant(uid, lambda: work(root))()
            finally:
                os.close(root)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread.executor(), run)
        except OSError as error:
            raise _said(error, path) from error
        except RecursionError as error:
            raise InvalidValueError("The folder is too deep.", details="Nothing more was deleted.") from error


def _open_root(folder: Path) -> int:
    try:
        return os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFoundError("This channel has no live folder.", resolution="Only a channel in live mode has files to edit.") from error


def _content(data: bytes) -> FileContent:
    return FileContent(data=base64.b64encode(data).decode(), version=version_of(data))


def _list(root: int, path: str) -> FileListing:
    descriptor = open_beneath(root, path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with os.scandir(descriptor) as entries:
            found = [_entry(entry) for entry, _ in zip(entries, range(MOST_ENTRIES), strict=False)]
    finally:
        os.close(descriptor)
    return FileListing(entries=tuple(sorted(found, key=lambda e: (e.kind is not FileKind.FOLDER, e.name))))


def _entry(entry: os.DirEntry[str]) -> FileEntry:
    info = entry.stat(follow_symlinks=False)
    kind = FileKind.OTHER
    if stat.S_ISLNK(info.st_mode):
        kind = FileKind.LINK
    elif stat.S_ISDIR(info.st_mode):
        kind = FileKind.FOLDER
    elif stat.S_ISREG(info.st_mode):
        kind = FileKind.FILE
    name = entry.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return FileEntry(name=name, kind=kind, size=info.st_size, modified=info.st_mtime, executable=bool(info.st_mode & 0o111))


def _read(root: int, path: str) -> bytes:
    """Non-blocking, so that opening a FIFO that the tenant has laid there does not wait for its other end."""
    descriptor = open_beneath(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    with os.fdopen(descriptor, "rb") as file:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise InvalidValueError(f"“{path}” is not a file.")
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise InvalidValueError(f"“{path}” is larger than 1 MiB.", resolution="Download it with `sitewright exec` or change it in git.")
    return data


@contextmanager
def _parent(root: int, path: str, *, make: bool) -> Iterator[tuple[int, str]]:
    """The open folder that holds *path*, and the last part of its name."""
    folder, _, name = path.rpartition("/")
    if make and folder:
        _make_folders(root, folder)
    descriptor = open_beneath(root, folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor, name
    finally:
        os.close(descriptor)


def _make_folders(root: int, path: str) -> None:
    done = ""
    for part in path.split("/"):
        descriptor = open_beneath(root, done, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        done = f"{done}/{part}" if done else part


def _write(root: int, path: str, data: bytes, version: str) -> None:
    try:
        current: bytes | None = _read(root, path)
    except FileNotFoundError:
        current = None
    if (version_of(current) if current is not None else "") != version:
        raise ConflictError(
            f"“{path}” has been changed by somebody else.", details="Nothing was written.", resolution="Load it again and redo the change."
        )
    with _parent(root, path, make=True) as (folder, name):
        mode = 0o644
        with contextlib.suppress(FileNotFoundError):
            mode = stat.S_IMODE(os.stat(name, dir_fd=folder, follow_symlinks=True).st_mode) & 0o777
        temporary = f".{secrets.token_hex(8)}.tmp"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, mode)
                file.write(data)
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise


def _delete(root: int, path: str) -> None:
    with _parent(root, path, make=False) as (folder, name):
        info = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(info.st_mode):
            shutil.rmtree(name, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)
