"""sitewright.toml from its text: a value, and every problem with its line. Pure."""

from __future__ import annotations

import re
import tomllib
from difflib import get_close_matches
from typing import Any

from sitewright.builder.config.keys import FILE, ROOT, Key, Table
from sitewright.builder.config.lines import Lines, Path
from sitewright.builder.config.meaning import meaning_of
from sitewright.builder.config.model import NO_CONFIG, SiteConfig
from sitewright.builder.config.problems import MOST_PROBLEMS, Problem
from sitewright.errors import InvalidValueError

LONGEST_FILE = 100_000
LONGEST_LINE = 5_000
"""Characters: Python's parser takes time that grows with the square of a dotted key's length."""


class Reader:
    """Walks a document along the definition, collecting problems."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.problems: list[Problem] = []

    def wrong(self, path: Path, message: str, resolution: str = "", *, warning: bool = False) -> None:
        """Note a problem of what is at *path*."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(FILE, self._lines.of(*path), message, resolution, warning))

    def read(self, table: Table, value: object, path: Path = ()) -> Any:
        """The table's values: a dictionary of what was right, or a list of them for `[[…]]`."""
        if table.many:
            return self._many(table, value, path)
        if table.short and not isinstance(value, dict):
            value = {table.short: value}
        if not isinstance(value, dict):
            self.wrong(path, f"{_spelt(path)} is a table.", f"Write it like this: {_heading(path)}")
            return {}
        if table.free is not None or table.named is not None:
            return {name: self._each(table, one, (*path, name)) for name, one in value.items()}
        found = {name: self._key(table.keys[name], one, (*path, name)) for name, one in value.items() if name in table.keys}
        for name in value.keys() - table.keys.keys():
            self._unknown(name, table, (*path, name))
        for name, key in table.keys.items():
            if isinstance(key, Key) and key.needed and name not in value:
                self.wrong(path, f"{_spelt(path)} has no “{name}”.", f"Add a line like: {name} = {key.example}")
        return {name: one for name, one in found.items() if one is not None}

    def _many(self, table: Table, value: object, path: Path) -> list[dict[str, Any]]:
        if not isinstance(value, list):
            self.wrong(path, f"{_spelt(path)} is a list of tables.", f"Write [[{path[-1]}]] before each of them.")
            return []
        single = Table(table.about, table.keys)
        return [self.read(single, one, (*path, number)) | {"": number} for number, one in enumerate(value)]

    def _each(self, table: Table, value: object, path: Path) -> Any:
        if table.named is not None:
            return self.read(table.named, value, path)
        return self._value(table, value, path)

    def _key(self, key: Key | Table, value: object, path: Path) -> Any:
        return self.read(key, value, path) if isinstance(key, Table) else self._value(key, value, path)

    def _value(self, key: Key | Table, value: object, path: Path) -> Any:
        kind = key.kind if isinstance(key, Key) else key.free
        assert kind is not None
        try:
            return kind.read(value)
        except InvalidValueError as error:
            self.wrong(path, f"{_spelt(path)}: {error.message} {error.details}".strip(), error.resolution)
            return None

    def _unknown(self, name: str, table: Table, path: Path) -> None:
        if len(self.problems) >= MOST_PROBLEMS:
            return
        near = get_close_matches(name[:40], table.keys, n=1, cutoff=0.6)
        known = ", ".join(sorted(table.keys))
        where = f" in {_heading(path[:-1])}" if len(path) > 1 else ""
        advice = f"Did you mean “{near[0]}”? Known{where}: {known}." if near else f"Known{where}: {known}."
        self.wrong(path, f"“{name[:40]}” is not known{where}.", advice)


def _spelt(path: Path) -> str:
    return ".".join(f"“{one}”" if isinstance(one, str) and re.search(r"[^\w-]", one) else str(one) for one in path if isinstance(one, str))


def _heading(path: Path) -> str:
    return f"[{'.'.join(str(one) for one in path if isinstance(one, str))}]"


def parse_config(text: str) -> tuple[SiteConfig, tuple[Problem, ...]]:
    """The configuration and what is wrong with it, by line. With a problem that is no warning, the value is not to be followed."""
    if len(text) > LONGEST_FILE:
        return NO_CONFIG, (Problem(FILE, 0, f"The file is too long: {LONGEST_FILE:,} characters are the most."),)
    long = next((number for number, line in enumerate(text.split("\n"), start=1) if len(line) > LONGEST_LINE), 0)
    if long:
        return NO_CONFIG, (Problem(FILE, long, f"The line is too long: {LONGEST_LINE:,} characters are the most."),)
    try:
        document = tomllib.loads(text.removeprefix("\ufeff"))
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        return NO_CONFIG, (_not_toml(error, text),)
    reader = Reader(Lines(text.removeprefix("\ufeff").replace("\r\n", "\n")))
    values = reader.read(ROOT, document)
    config = meaning_of(values, reader)
    return config, tuple(sorted(reader.problems, key=lambda problem: problem.line))


def check_config(text: str) -> tuple[Problem, ...]:
    """What is wrong with a sitewright.toml, by line; () for nothing."""
    return parse_config(text)[1]


def _not_toml(error: Exception, text: str) -> Problem:
    found = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
    line = int(found[1]) if found else text.count("\n") + 1
    what = re.sub(r"\s*\(at (?:line.*|end of document)\)", "", str(error)).rstrip(".")[:200] or "not TOML"
    return Problem(FILE, line, f"This is not TOML: {what}.", "Texts need quotation marks; names of tables stand in [brackets].")
