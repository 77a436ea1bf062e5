"""What Poetry and Pipenv list, as ordinary requirements: exact where their lock file is there. Pure."""

from __future__ import annotations

import re
from typing import Any

from sitewright.builder.tree import Tree

_CARET = re.compile(r"\^\s*(\d+)(?:\.(\d+))?(?:\.(\d+))?[\w.]*")
_TILDE = re.compile(r"~\s*(\d+(?:\.\d+)*)")
_PLAIN = re.compile(r"\d[\w.]*(?:\.\*)?")


def poetry_requirements(tree: Tree) -> tuple[str, ...] | None:
    """The dependencies of [tool.poetry] without its groups; None when Poetry is not used."""
    tools = tree.toml("pyproject.toml").get("tool", {})
    poetry = tools.get("poetry", {}) if isinstance(tools, dict) else {}
    listed = poetry.get("dependencies") if isinstance(poetry, dict) else None
    if not isinstance(listed, dict):
        return None
    locked = tree.toml("poetry.lock").get("package", [])
    exact = {item["name"].lower(): item["version"] for item in locked if isinstance(item, dict) and {"name", "version"} <= item.keys()}
    return _requirements({name: wanted for name, wanted in listed.items() if name.lower() != "python"}, exact)


def pipfile_requirements(tree: Tree) -> tuple[str, ...] | None:
    """The [packages] of a Pipfile; None when there is none."""
    if not tree.has("Pipfile"):
        return None
    listed = tree.toml("Pipfile").get("packages", {})
    locked = tree.json("Pipfile.lock").get("default", {})
    exact = {
        name.lower(): str(item["version"]).removeprefix("==")
        for name, item in (locked.items() if isinstance(locked, dict) else ())
        if isinstance(item, dict) and "version" in item
    }
    return _requirements(listed if isinstance(listed, dict) else {}, exact)


def _requirements(listed: dict[str, Any], exact: dict[str, str]) -> tuple[str, ...]:
    return tuple(text for name, wanted in listed.items() if (text := _requirement(name, wanted, exact.get(name.lower(), ""))))


def _requirement(name: str, wanted: Any, exact: str) -> str:
    """One requirement; "" for what is optional."""
    options = wanted if isinstance(wanted, dict) else {}
    if options.get("optional"):
        return ""
    extras = options.get("extras", [])
    named = f"{name}[{','.join(map(str, extras))}]" if isinstance(extras, list) and extras else name
    if "git" in options:
        ref = options.get("ref") or options.get("rev") or options.get("tag") or options.get("branch") or ""
        return f"{named} @ git+{options['git']}{f'@{ref}' if ref else ''}"
    if "path" in options:
        return f"{named} @ file:///app/{options['path']}"
    marker = f" ; {options['markers']}" if isinstance(options.get("markers"), str) else ""
    version = f"=={exact}" if exact else specifier(str(options.get("version", "*") if options else wanted))
    return f"{named}{version}{marker}"


def specifier(text: str) -> str:
    """A version as Poetry and Pipenv write it, as pip reads it: `^1.2` is `>=1.2,<2`, `~1.2` is `~=1.2.0`, `*` is nothing."""
    parts = (part.strip() for part in text.split("||", maxsplit=1)[0].split(","))
    return ",".join(filter(None, map(_part, parts)))


def _part(part: str) -> str:
    caret = _CARET.fullmatch(part)
    if caret:
        numbers = [int(number) for number in caret.groups() if number is not None]
        place = next((index for index, number in enumerate(numbers) if number), len(numbers) - 1)
        above = ".".join(map(str, [*numbers[:place], numbers[place] + 1]))
        return f">={'.'.join(map(str, numbers))},<{above}"
    tilde = _TILDE.fullmatch(part)
    if tilde:
        return f"~={tilde[1]}" if tilde[1].count(".") > 1 else f"~={tilde[1]}.0" if "." in tilde[1] else f"=={tilde[1]}.*"
    if part in ("", "*", "latest"):
        return ""
    return f"=={part}" if _PLAIN.fullmatch(part) else part
