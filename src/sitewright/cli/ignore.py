"""Which files of a folder are sent: .gitignore and .sitewrightignore by git's rules, and what never belongs into a source. Pure but for
the reading of ignore files in ``walk``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

IGNORE_FILES = (".gitignore", ".sitewrightignore")
NEVER = frozenset(
    {".git", ".hg", ".svn", "node_modules", ".venv", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", ".DS_Store"}
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of an ignore file. ``regex`` matches paths relative to the folder of that file."""

    regex: re.Pattern[str]
    negated: bool
    folders_only: bool


def _bracket(pattern: str, start: int) -> tuple[str, int]:
    """The regular expression of the bracket that begins at *start*, and where it ends; an unclosed one is a plain character."""
    end = start + 1
    if pattern[end : end + 1] in {"!", "^"}:
        end += 1
    if pattern[end : end + 1] == "]":
        end += 1
    end = pattern.find("]", end)
    if end < 0:
        return re.escape("["), start + 1
    inside = pattern[start + 1 : end].replace("\\", "\\\\")
    if inside[:1] in {"!", "^"}:
        return f"(?!/)[^{inside[1:]}]", end + 1
    return f"(?!/)[{inside}]", end + 1


def _translate(pattern: str) -> str:
    """git's wild cards as a regular expression: `*` and `?` stay within a folder, `**` crosses folders."""
    made, position = "", 0
    while position < len(pattern):
        rest = pattern[position:]
        if rest.startswith("**/") and (position == 0 or pattern[position - 1] == "/"):
            made, position = made + "(?:.*/)?", position + 3
        elif rest == "**" and (position == 0 or pattern[position - 1] == "/"):
            made, position = made + ".+", position + 2
        elif rest[0] == "*":
            made, position = made + "[^/]*", position + len(rest) - len(rest.lstrip("*"))
        elif rest[0] == "?":
            made, position = made + "[^/]", position + 1
        elif rest[0] == "[":
            text, position = _bracket(pattern, position)
            made += text
        elif rest[0] == "\\" and len(rest) > 1:
            made, position = made + re.escape(rest[1]), position + 2
        else:
            made, position = made + re.escape(rest[0]), position + 1
    return made


def parse_rule(line: str) -> Rule | None:
    """One line of an ignore file; None for a comment, an empty line or a pattern that is no pattern."""
    line = line.rstrip("\r\n")
    stripped = line.rstrip(" ")
    line = stripped + " " if stripped.endswith("\\") and len(stripped) < len(line) else stripped
    if not line or line.startswith("#"):
        return None
    negated = line.startswith("!")
    line = line.removeprefix("!")
    folders_only = line.endswith("/")
    line = line.rstrip("/") if folders_only else line
    anchored = "/" in line
    line = line.removeprefix("/")
    if not line:
        return None
    try:
        regex = re.compile(("" if anchored else "(?:.*/)?") + _translate(line))
    except re.error:
        return None
    return Rule(regex, negated, folders_only)


@lru_cache(maxsize=256)
def parse_rules(text: str) -> tuple[Rule, ...]:
    """The rules of an ignore file, in order."""
    return tuple(rule for rule in map(parse_rule, text.splitlines()) if rule is not None)


def ignored(path: str, *, folder: bool, layers: tuple[tuple[str, tuple[Rule, ...]], ...]) -> bool:
    """Whether the last rule that matches *path* (relative, with slashes) says so. A layer is (its folder with a closing slash or "",
    rules); inner folders come last."""
    for prefix, rules in reversed(layers):
        inside = path.removeprefix(prefix)
        for rule in reversed(rules):
            if rule.regex.fullmatch(inside) and (folder or not rule.folders_only):
                return not rule.negated
    return False


def _layers_of(root: Path, relative: str) -> tuple[tuple[str, tuple[Rule, ...]], ...]:
    found = []
    for name in IGNORE_FILES:
        try:
            found.append((relative, parse_rules((root / relative / name).read_text(errors="replace"))))
        except OSError:
            continue
    return tuple(found)


def walk(root: Path) -> Iterator[str]:
    """The files and links to send, relative to *root*, sorted; never what is ignored, a socket or a device."""
    yield from _walk(root, "", ())


def _walk(root: Path, relative: str, layers: tuple[tuple[str, tuple[Rule, ...]], ...]) -> Iterator[str]:
    layers = (*layers, *_layers_of(root, relative))
    with os.scandir(root / relative) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        folder = entry.is_dir(follow_symlinks=False)
        path = relative + entry.name
        if entry.name in NEVER or ignored(path, folder=folder, layers=layers):
            continue
        if not folder:
            if entry.is_symlink() or entry.is_file(follow_symlinks=False):
                yield path
        elif not (Path(entry.path) / "pyvenv.cfg").exists():
            yield from _walk(root, path + "/", layers)
