"""Heroku's app.json: what of it has a meaning here, and what not, said. Pure."""

from __future__ import annotations

import json
from typing import Any

from sitewright.builder.config.meaning import looks_secret
from sitewright.builder.config.model import NO_CONFIG, SiteConfig
from sitewright.builder.config.problems import Problem
from sitewright.builder.config.values import MOST_COPIES
from sitewright.domain.names import EnvName, ProcessType
from sitewright.domain.pages import Wishes
from sitewright.errors import InvalidValueError

NAME = "app.json"
SIZES_MB = {
    **dict.fromkeys(("free", "eco", "hobby", "basic", "standard-1x"), 512),
    "standard-2x": 1024,
    "performance-m": 2560,
    "private-s": 1024,
    "private-m": 2560,
    "performance-l": 14_336,
    "private-l": 14_336,
}
"""Memory of Heroku's dyno sizes (devcenter.heroku.com/articles/dyno-sizes)."""
_UNUSED = {
    "buildpacks": "buildpacks are not used: what the files say decides how it is built.",
    "addons": "add-ons are not made: set the addresses of your databases as variables.",
    "environments": "environments are not read: channels have variables and processes of their own.",
    "stack": "the stack is not read: a platform has one.",
}


def parse_app_json(text: str) -> tuple[SiteConfig, tuple[Problem, ...]]:
    """What is followed, and what is not; nothing of it keeps a site from being built."""
    try:
        document = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 0)
        return NO_CONFIG, (Problem(NAME, line, f"not read: this is not JSON ({str(error)[:100]}).", warning=True),)
    if not isinstance(document, dict) or not document.keys() & {
        "env",
        "formation",
        "buildpacks",
        "addons",
        "scripts",
        "stack",
        "environments",
    }:
        # Expo and others call their own file so, too.
        return NO_CONFIG, ()
    problems = [Problem(NAME, 0, words, warning=True) for key, words in _UNUSED.items() if document.get(key)]
    env, required = _env(document.get("env"), problems)
    count, memory = _formation(document.get("formation"), problems)
    scripts = document.get("scripts")
    if isinstance(scripts, dict) and scripts.get("postdeploy"):
        command = str(scripts["postdeploy"])[:80]
        words = f"scripts.postdeploy (“{command}”) is not run: a “release:” line in the Procfile runs before each release goes live."
        problems.append(Problem(NAME, 0, words, warning=True))
    return SiteConfig(file=NAME, wishes=Wishes(memory_mb=memory, count=count, env=env), required_env=required), tuple(problems)


def _env(table: Any, problems: list[Problem]) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Defaults, and names that have none but are needed."""
    found: dict[str, str] = {}
    required: list[str] = []
    for name, said in (table if isinstance(table, dict) else {}).items():
        try:
            EnvName(name)
        except InvalidValueError as error:
            problems.append(Problem(NAME, 0, f"env: {error.message}", warning=True))
            continue
        value = said.get("value") if isinstance(said, dict) else said
        if isinstance(value, str | int | float) and not isinstance(value, bool) and str(value) != "":
            found[name] = str(value)[:32_000]
            if looks_secret(name, found[name]):
                problems.append(
                    Problem(NAME, 0, f"env: “{name}” looks like a secret; whoever can read the repository knows it.", warning=True)
                )
        elif (isinstance(said, dict) and said.get("generator") == "secret") or not isinstance(said, dict) or said.get("required", True):
            required.append(name)
    return tuple(found.items()), tuple(required)


def _formation(table: Any, problems: list[Problem]) -> tuple[tuple[tuple[str, int], ...], tuple[tuple[str, int], ...]]:
    count: dict[str, int] = {}
    memory: dict[str, int] = {}
    for name, said in (table if isinstance(table, dict) else {}).items():
        try:
            ProcessType(name)
        except InvalidValueError as error:
            problems.append(Problem(NAME, 0, f"formation: {error.message}", warning=True))
            continue
        if not isinstance(said, dict):
            continue
        quantity, size = said.get("quantity"), str(said.get("size", "")).lower()
        if isinstance(quantity, int) and not isinstance(quantity, bool) and quantity >= 0 and not (name == "web" and quantity == 0):
            count[name] = min(quantity, MOST_COPIES)
        if size in SIZES_MB:
            memory[name] = SIZES_MB[size]
        elif size:
            problems.append(Problem(NAME, 0, f"formation: the size “{size[:30]}” is not known; the plan's holds.", warning=True))
    return tuple(count.items()), tuple(memory.items())
