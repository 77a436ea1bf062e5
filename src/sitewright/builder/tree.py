"""A frozen summary of a source tree: what detection looks at. Values only; survey.py makes one from a folder."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from sitewright.errors import BuildError

READ_NAMES = frozenset(
    {
        *("requirements.txt", "pyproject.toml", "uv.lock", "setup.py", "setup.cfg", "Pipfile", "manage.py"),
        *("package.json", "package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock", "pnpm-workspace.yaml"),
        *("composer.json", "composer.lock", "mkdocs.yml", "mkdocs.yaml", "Procfile", "production.ini", "Pipfile.lock", "poetry.lock"),
        *("sitewright.toml", "app.json"),
    }
)
"""Files whose text detection may need, in the first two folders."""

READ_SUFFIXES = (".py", ".txt", ".js", ".mjs", ".ts", ".php")
FOREIGN = "\ufeff"
"""What stands before a text that was not UTF-8, so that tools which only read that are given it anew."""
SKIPPED_FOLDERS = frozenset({".git", ".hg", ".svn", "node_modules", ".venv", "venv", "__pycache__", ".tox", ".mypy_cache", ".sitewright"})


@dataclass(frozen=True)
class Tree:
    """Names of the regular files (relative, with `/`) of the first few folders, and the text of the few that say what kind of app it is."""

    files: tuple[str, ...]
    texts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @cached_property
    def names(self) -> frozenset[str]:
        """The files as a set."""
        return frozenset(self.files)

    def has(self, *names: str) -> bool:
        """Whether all of these files are there."""
        return all(name in self.names for name in names)

    def first(self, *names: str) -> str:
        """The first of these files that is there, or ""."""
        return next((name for name in names if name in self.names), "")

    def text(self, name: str) -> str:
        """A file's text; "" when it is absent or was not read."""
        return self.texts.get(name, "").removeprefix(FOREIGN)

    def is_foreign(self, name: str) -> bool:
        """Whether a file was written in another encoding than UTF-8."""
        return self.texts.get(name, "").startswith(FOREIGN)

    def matching(self, pattern: str) -> tuple[str, ...]:
        """Files whose whole name matches a regular expression."""
        compiled = re.compile(pattern)
        return tuple(name for name in self.files if compiled.fullmatch(name))

    def json(self, name: str) -> dict[str, Any]:
        """A JSON file's object, {} when absent. Raises BuildError that names file and line."""
        return self._parsed(name, json.loads, "JSON")

    def toml(self, name: str) -> dict[str, Any]:
        """A TOML file's table, {} when absent. Raises BuildError that names file and line."""
        return self._parsed(name, tomllib.loads, "TOML")

    def _parsed(self, name: str, parse: Any, kind: str) -> dict[str, Any]:
        text = self.text(name)
        if not text.strip():
            return {}
        try:
            value = parse(text.removeprefix("\ufeff"))
        except (ValueError, RecursionError) as error:
            raise BuildError(
                f"{name} is not valid {kind}.", details=str(error)[:300], resolution=f"Correct {name} and deploy again."
            ) from error
        if not isinstance(value, dict):
            raise BuildError(f"{name} does not hold a {kind} object.", resolution=f"Correct {name} and deploy again.")
        return value
