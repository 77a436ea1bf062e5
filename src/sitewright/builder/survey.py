"""Reading a tree that a tenant has made into a Tree value, without following a single link of theirs."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import MappingProxyType

from sitewright.builder.tree import FOREIGN, READ_NAMES, READ_SUFFIXES, SKIPPED_FOLDERS, Tree

MAX_DEPTH = 6
MAX_FILES = 20_000
MAX_TEXT_BYTES = 4 * 1024 * 1024
MAX_SOURCE_BYTES = 256 * 1024
_WHOLE = frozenset({"package-lock.json", "npm-shrinkwrap.json", "uv.lock", "pnpm-lock.yaml", "yarn.lock", "composer.lock"})


def survey(folder: Path) -> Tree:
    """What is in *folder*: up to 20,000 names, six folders deep, and the texts that detection may ask for. Blocking: milliseconds."""
    files: list[str] = []
    texts: dict[str, str] = {}
    for above, folders, names, descriptor in os.fwalk(folder, follow_symlinks=False):
        relative = os.path.relpath(above, folder)
        prefix = "" if relative == "." else f"{relative}/"
        depth = prefix.count("/")
        folders[:] = sorted(name for name in folders if name not in SKIPPED_FOLDERS) if depth < MAX_DEPTH else []
        for name in sorted(names):
            if not _printable(name) or not stat.S_ISREG(os.lstat(name, dir_fd=descriptor).st_mode):
                continue
            files.append(prefix + name)
            if _wanted(name, depth) and len(texts) < 500:
                texts[prefix + name] = _read(name, descriptor)
        if len(files) >= MAX_FILES:
            break
    return Tree(tuple(sorted(files)), MappingProxyType(texts))


def _printable(name: str) -> bool:
    return name.isprintable() and max(name) < "\udc80"


def _wanted(name: str, depth: int) -> bool:
    return (name in READ_NAMES and depth <= 1) or (name.endswith(READ_SUFFIXES) and depth <= 2)


def _read(name: str, folder: int) -> str:
    """The text of a regular file; a file that is larger than detection needs is cut, a lock file is read whole (its fingerprint counts)."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return ""
        limit = MAX_TEXT_BYTES if name in _WHOLE else MAX_SOURCE_BYTES
        return decoded(file.read(limit))


def decoded(content: bytes) -> str:
    """A text as its author meant it: Windows' editors and shells also write UTF-16, and put a mark before UTF-8."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return FOREIGN + content.decode("utf-16", "replace")
    return content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
