"""What git says, as values. Nothing of it is trusted: names and subjects are what somebody has pushed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sitewright.bus.messages import Ref
from sitewright.commands.git_repository import FIELDS_OF_A_REF
from sitewright.domain.git import Commit, FileChange

LONGEST_SUBJECT = 200
LONGEST_PATH = 1000
_KIND = re.compile(r"[AMDRTC]")


def shown(text: str, most: int = LONGEST_SUBJECT) -> str:
    """Printable, and not longer than *most*."""
    plain = "".join(letter if letter.isprintable() else "�" for letter in text)
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def _fields(data: bytes) -> list[str]:
    return data.decode("utf-8", "replace").split("\0")


def _groups(fields: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(fields) - size + 1, size):
        yield fields[start : start + size]


def _time(text: str) -> float:
    return float(text) if text.isdigit() else 0.0


def refs(data: bytes) -> tuple[Ref, ...]:
    """From ``commands.git_repository.list_refs``; what leads to no commit is left out."""
    found = []
    for group in _groups(_fields(data), FIELDS_OF_A_REF):
        name = group[0].lstrip("\n")
        kind, values = (group[1], group[2:7]) if group[1] == "commit" else (group[7], group[8:13])
        if kind != "commit":
            continue
        commit, author, address, at, subject = values
        found.append(Ref(name=name, commit=Commit(commit, shown(f"{author} {address}"), _time(at), shown(subject))))
    return tuple(found)


def commits(data: bytes) -> tuple[Commit, ...]:
    """From ``commands.git_repository.log``."""
    return tuple(Commit(commit, shown(author), _time(at), shown(subject)) for commit, author, at, subject in _groups(_fields(data), 4))


def file_changes(data: bytes, most: int) -> tuple[tuple[FileChange, ...], int]:
    """From ``commands.git_repository.changed_files``: at most *most*, and how many there are besides."""
    kinds: dict[str, str] = {}
    counts: dict[str, tuple[int, int]] = {}
    fields = iter(_fields(data))
    for field in fields:
        if field.startswith(":"):
            path = next(fields, "")
            letter = field.rpartition(" ")[2][:1]
            kinds[path] = letter if _KIND.fullmatch(letter) else "M"
        elif field.count("\t") >= 2:
            added, removed, path = field.split("\t", 2)
            counts[path] = (int(added), int(removed)) if added.isdigit() and removed.isdigit() else (-1, -1)
    found = tuple(FileChange(shown(path, LONGEST_PATH), kind, *counts.get(path, (0, 0))) for path, kind in list(kinds.items())[:most])
    return found, max(0, len(kinds) - most)


def positions(data: bytes) -> dict[str, str]:
    """From ``commands.git_repository.read_refs``: name → commit."""
    lines = data.decode("utf-8", "replace").splitlines()
    return {name: commit for commit, _, name in (line.partition(" ") for line in lines) if name}
