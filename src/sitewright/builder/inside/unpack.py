"""Runs inside a sandbox, as the site's user: unpack an archive into the current, empty folder. Standard library only.

Arguments: archive, maximal bytes, maximal files.
Prints one line of JSON: {"files", "bytes", "top"} or {"message", "details", "resolution"}.

Symbolic links are made after all files, so that nothing is ever written through one; what climbs out of the folder is refused by name.
It is part of every deploy, so what only some archives need is imported for them.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import shutil
import stat
import sys
import tarfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

BOMB_RATIO = 200
BOMB_FLOOR = 64 * 1024 * 1024
CHUNK = 256 * 1024
COMPRESSED = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open))
SKIPPED = {".git", "__MACOSX", ".DS_Store", "__pycache__", ".venv", "pax_global_header"}


class Refused(Exception):  # noqa: N818 - it reads so where it is raised
    """The archive cannot be used: message, details, resolution."""


class Unpacker:
    """Writes entries below the current folder, and counts."""

    def __init__(self, compressed: int, most_bytes: int, most_files: int) -> None:
        self.most_bytes = most_bytes
        self.most_files = most_files
        self.bomb = max(BOMB_FLOOR, compressed * BOMB_RATIO)
        self.files = self.bytes = 0
        self.kinds: dict[str, str] = {}
        self.links: list[tuple[str, str, str]] = []

    def place(self, name: str) -> list[str] | None:
        """The parts of an entry's path, None to skip it. Refuses what is absolute or climbs."""
        plain = name.replace("\\", "/") if "/" not in name else name
        parts = [part for part in plain.split("/") if part not in ("", ".")]
        if plain.startswith("/") or ".." in parts or (parts and parts[0].endswith(":")):
            raise Refused(
                "The archive has an entry that climbs out of its folder.",
                f"The entry is “{shown(name)}”.",
                "Make the archive again from inside the site's folder, with relative paths.",
            )
        if any(len(os.fsencode(part)) > 255 or "\0" in part for part in parts) or len(os.fsencode(plain)) > 3000:
            raise Refused("The archive has an entry with a name that is too long.", f"The entry begins with “{shown(name)}”.", "Rename it.")
        if not parts or SKIPPED.intersection(parts):
            return None
        return parts

    def note(self, parts: list[str], kind: str, name: str) -> str:
        """Count an entry; refuse names that are there twice, and files used as folders."""
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth])
            if self.kinds.setdefault(above, "folder") != "folder":
                raise twice(name)
        path = "/".join(parts)
        before = self.kinds.get(path)
        if before is not None and not (before == kind == "folder"):
            raise twice(name)
        self.kinds[path] = kind
        self.files += kind != "folder"
        if len(self.kinds) > self.most_files:
            raise Refused(
                f"The archive has more than {self.most_files:,} files.", "", "Leave out what a build makes, such as node_modules."
            )
        return path

    def folder(self, parts: list[str], name: str) -> None:
        os.makedirs(self.note(parts, "folder", name), exist_ok=True)

    def file(self, parts: list[str], name: str, source: IO[bytes], *, executable: bool) -> None:
        path = self.note(parts, "file", name)
        if len(parts) > 1:
            os.makedirs("/".join(parts[:-1]), exist_ok=True)
        with open(path, "xb") as target:
            while chunk := source.read(CHUNK):
                self.bytes += len(chunk)
                self.check_size(name)
                target.write(chunk)
        os.chmod(path, 0o755 if executable else 0o644)

    def check_size(self, name: str) -> None:
        if self.bytes > self.most_bytes:
            raise Refused(
                f"The archive holds more than {self.most_bytes // 1048576} MB.", "", "Leave out large files, or ask for more room."
            )
        if self.bytes > self.bomb:
            raise Refused(
                "The archive grows to more than 200 times its size.",
                f"Unpacking stopped at “{shown(name)}”.",
                "Pack the files with an ordinary zip or tar program.",
            )

    def link(self, parts: list[str], name: str, target: str) -> None:
        self.note(parts, "link", name)
        self.links.append(("/".join(parts), target, name))

    def copy(self, parts: list[str], name: str, target: str) -> None:
        """A hard link: a copy of an earlier entry."""
        source = self.place(target)
        if source is None or self.kinds.get("/".join(source)) != "file":
            raise Refused(
                "The archive has a hard link to something outside of it.", f"The entry is “{shown(name)}”.", "Pack a copy instead."
            )
        with open("/".join(source), "rb") as file:
            self.file(parts, name, file, executable=bool(os.stat(file.fileno()).st_mode & 0o100))

    def finish(self) -> str:
        top = strip_single_folder()
        for path, target, name in self.links:
            self.make_link(path[len(top) + 1 :] if top else path, target, name)
        here = os.path.realpath(".")
        for path, _, name in self.links:
            real = os.path.realpath(path[len(top) + 1 :] if top else path)
            if real != here and not real.startswith(here + "/"):
                raise climbing_link(name)
        return top

    def make_link(self, path: str, target: str, name: str) -> None:
        if target.startswith("/") or "\0" in target or not target:
            raise climbing_link(name)
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        os.symlink(target, path)


def shown(name: str) -> str:
    return name.encode("utf-8", "replace").decode()[:200]


def twice(name: str) -> Refused:
    return Refused("The archive has the same name twice.", f"The entry is “{shown(name)}”.", "Make the archive again.")


def climbing_link(name: str) -> Refused:
    return Refused(
        "The archive has a link that leads out of its folder.", f"The entry is “{shown(name)}”.", "Replace the link by the file itself."
    )


def strip_single_folder() -> str:
    """When everything is in one folder, that folder's contents become the top. Returns its name, or ""."""
    entries = os.listdir(".")
    if len(entries) != 1 or not os.path.isdir(entries[0]) or os.path.islink(entries[0]):
        return ""
    (name,) = entries
    aside = ".sitewright-top"
    os.rename(name, aside)
    for entry in os.listdir(aside):
        os.rename(os.path.join(aside, entry), entry)
    os.rmdir(aside)
    return name


def is_zip(path: str) -> bool:
    """What a zip file says of itself is at its end; what begins like a compressed tar is one."""
    with open(path, "rb") as file:
        if file.read(6).startswith(tuple(magic for magic, _ in COMPRESSED)):
            return False
    import zipfile

    return zipfile.is_zipfile(path)


def unpack_zip(path: str, unpacker: Unpacker) -> None:
    import zipfile

    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            parts = unpacker.place(entry.filename)
            if parts is None:
                continue
            mode = entry.external_attr >> 16
            if entry.flag_bits & 1:
                raise Refused("The archive is encrypted.", f"The entry is “{shown(entry.filename)}”.", "Pack it without a password.")
            if entry.is_dir():
                unpacker.folder(parts, entry.filename)
            elif stat.S_ISLNK(mode):
                unpacker.link(parts, entry.filename, os.fsdecode(archive.read(entry)[:4096]))
            elif mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise device(entry.filename)
            else:
                with archive.open(entry) as source:
                    unpacker.file(parts, entry.filename, source, executable=bool(mode & 0o100))


def decompressed(path: str) -> IO[bytes]:
    """The archive's stream, whatever it is compressed with; unlike tarfile's own, these notice when the end is missing."""
    with open(path, "rb") as file:
        start = file.read(6)
    for magic, opener in COMPRESSED:
        if start.startswith(magic):
            return opener(path, "rb")  # type: ignore[return-value]
    return open(path, "rb")


def unpack_tar(path: str, unpacker: Unpacker) -> None:
    with decompressed(path) as stream:
        unpack_members(stream, unpacker)
        size = unpacker.bytes
        while chunk := stream.read(CHUNK):
            unpacker.bytes += len(chunk)
            unpacker.check_size("the end")
        unpacker.bytes = size


def unpack_members(stream: IO[bytes], unpacker: Unpacker) -> None:
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for entry in archive:
            parts = unpacker.place(entry.name)
            if parts is None:
                continue
            if entry.isdir():
                unpacker.folder(parts, entry.name)
            elif entry.issym():
                unpacker.link(parts, entry.name, entry.linkname)
            elif entry.islnk():
                unpacker.copy(parts, entry.name, entry.linkname)
            elif entry.isreg():
                unpack_member(archive, entry, parts, unpacker)
            else:
                raise device(entry.name)


def unpack_member(archive: tarfile.TarFile, entry: tarfile.TarInfo, parts: list[str], unpacker: Unpacker) -> None:
    source = archive.extractfile(entry)
    if source is not None:
        unpacker.file(parts, entry.name, source, executable=bool(entry.mode & 0o100))


def device(name: str) -> Refused:
    return Refused("The archive has a device or pipe.", f"The entry is “{shown(name)}”.", "Leave it out.")


def unpack(path: str, most_bytes: int, most_files: int) -> dict[str, object]:
    unpacker = Unpacker(os.path.getsize(path), most_bytes, most_files)
    try:
        if is_zip(path):
            unpack_zip(path, unpacker)
        else:
            unpack_tar(path, unpacker)
        top = unpacker.finish()
    except (tarfile.TarError, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno in (28, 122):
            raise Refused("There is not enough room to unpack the archive.", "", "Make it smaller, or ask for more room.") from error
        raise damaged(error) from error
    except Exception as error:
        if type(error).__name__ in ("error", "LZMAError", "BadZipFile"):
            raise damaged(error) from error
        raise
    if not unpacker.files:
        raise Refused("The archive is empty.", "", "Add an index.html or your app's files, and deploy again.")
    return {"files": unpacker.files, "bytes": unpacker.bytes, "top": shown(top)}


def damaged(error: Exception) -> Refused:
    return Refused(
        "The archive cannot be read: it is damaged, or it is neither zip nor tar.",
        str(error)[:200],
        "Make it again as .zip or .tar.gz, and check that the upload was complete.",
    )


def main() -> None:
    archive, most_bytes, most_files = sys.argv[1:4]
    try:
        result = unpack(archive, int(most_bytes), int(most_files))
    except Refused as refused:
        message, details, resolution = refused.args
        result = {"message": message, "details": details, "resolution": resolution}
        for entry in os.listdir("."):
            shutil.rmtree(entry) if os.path.isdir(entry) and not os.path.islink(entry) else os.unlink(entry)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
