"""Files of live channels."""

from __future__ import annotations

from enum import StrEnum

from sitewright.bus.messages.base import Message


class FileKind(StrEnum):
    """What a directory entry is."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    OTHER = "other"


class FileQuery(Message):
    """Files of a live channel, beneath its folder only. ``path`` is relative ("" the folder itself)."""

    site_id: str
    channel: str
    number: int
    path: str = ""


class FileEntry(Message):
    """One entry of a folder."""

    name: str
    kind: FileKind
    size: int = 0
    modified: float = 0.0
    executable: bool = False


class FileListing(Message):
    """A folder's entries, by name."""

    entries: tuple[FileEntry, ...] = ()


class FileContent(Message):
    """A file's bytes in base64 (at most 1 MiB) and the fingerprint to send back when writing."""

    data: str
    version: str


class FileWrite(Message):
    """Write a whole file (at most 1 MiB), making folders on the way. ``version`` "" is a new file; another one than the current is a
    conflict."""

    site_id: str
    channel: str
    number: int
    path: str
    data: str
    version: str = ""
