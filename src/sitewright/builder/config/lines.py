"""On which line each key of a TOML text stands: the standard library's parser does not say. For texts that it has accepted. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

Path = tuple[str | int, ...]
_KEY = re.compile(r'(?:"(?:[^"\\]|\\.)*"|\'[^\']*\'|[A-Za-z0-9_-]+)')
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_KEY.pattern}(?:\s*\.\s*{_KEY.pattern})*)\s*\]\]?\s*(?:#.*)?")
_ASSIGNED = re.compile(rf"\s*({_KEY.pattern}(?:\s*\.\s*{_KEY.pattern})*)\s*=")


class Lines:
    """Looks lines up by the path of keys and places that leads to a value: ("redirects", 0, "from")."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        arrays: dict[Path, int] = {}
        table: Path = ()
        for number, line, whole in _statements(text):
            header = _HEADER.fullmatch(line) if whole else None
            if header:
                table = _resolved(_keys(header[2]), arrays)
                if header[1] == "[[":
                    arrays[table] = arrays.get(table, -1) + 1
                    table = (*table, arrays[table])
                self._note(table, number)
                continue
            assigned = _ASSIGNED.match(line)
            if assigned:
                self._note((*table, *_keys(assigned[1])), number)

    def _note(self, path: Path, number: int) -> None:
        for length in range(1, len(path) + 1):
            self._lines.setdefault(path[:length], number)

    def of(self, *path: str | int) -> int:
        """The line of a key, or of the nearest thing around it; 1 for nothing."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return 1


def _keys(text: str) -> Path:
    return tuple(one[1:-1] if one[0] in "\"'" else one for one in _KEY.findall(text))


def _resolved(keys: Path, arrays: dict[Path, int]) -> Path:
    """The header's path with the places in the arrays of tables that it goes through; the last key's own place is not among them."""
    path: Path = ()
    for number, key in enumerate(keys):
        path = (*path, key)
        if path in arrays and number < len(keys) - 1:
            path = (*path, arrays[path])
    return path


def _statements(text: str) -> Iterator[tuple[int, str, bool]]:
    """Lines on which a statement begins (number, line, whether it ends there): not those inside arrays and long texts."""
    depth, closing = 0, ""
    for number, line in enumerate(text.split("\n"), start=1):
        starts = depth == 0 and not closing
        depth, closing = _after(line.rstrip("\r"), depth, closing)
        if starts and line.strip() and not line.lstrip().startswith("#"):
            yield number, line.rstrip("\r"), depth == 0 and not closing


_PIECES = re.compile(r'"""|\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#|[\[\]{}]|\\.')


def _after(line: str, depth: int, closing: str) -> tuple[int, str]:
    """How deep in brackets, and in which long text, the next line begins."""
    at = 0
    while at < len(line):
        if closing:
            end = line.find(closing, at)
            while end > 0 and closing == '"""' and line[end - 1] == "\\":
                end = line.find(closing, end + 1)
            if end < 0:
                return depth, closing
            at, closing = end + 3, ""
            continue
        found = _PIECES.search(line, at)
        if found is None or found[0] == "#":
            return depth, ""
        at = found.end()
        if found[0] in {'"""', "'''"}:
            closing = found[0]
        elif found[0] in "[{":
            depth += 1
        elif found[0] in "]}":
            depth -= 1
    return depth, closing
