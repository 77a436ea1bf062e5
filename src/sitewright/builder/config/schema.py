"""The JSON schema of sitewright.toml, for editors, and its reference page: both from the definition in keys.py. Pure.

``python -m sitewright.builder.config.schema`` prints the page, with `--json` the schema.
"""

from __future__ import annotations

import json
import sys
from importlib import resources
from typing import Any

from sitewright.builder.config.keys import ROOT, Key, Table


def json_schema() -> dict[str, Any]:
    """The schema as JSON (draft 2020-12)."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "sitewright.toml", **_of_table(ROOT)}


def _of_table(table: Table) -> dict[str, Any]:
    one: dict[str, Any] = {"type": "object"}
    if table.about:
        one["description"] = table.about
    if table.named is not None:
        one["additionalProperties"] = _of_table(table.named)
    elif table.free is not None:
        one["additionalProperties"] = table.free.schema
    else:
        one["properties"] = {name: _of_table(key) if isinstance(key, Table) else _of_key(key) for name, key in table.keys.items()}
        one["additionalProperties"] = False
        needed = [name for name, key in table.keys.items() if isinstance(key, Key) and key.needed]
        if needed:
            one["required"] = needed
    if table.many:
        return {"type": "array", "items": one}
    return {"anyOf": [one, {"type": "string"}]} if table.short else one


def _of_key(key: Key) -> dict[str, Any]:
    return {**key.kind.schema, **({"description": key.about} if key.about else {})}


def reference() -> str:
    """The tables of docs/reference/config-file.md, after its introduction."""
    parts = [_introduction()]
    for name, table in ROOT.keys.items():
        assert isinstance(table, Table)
        parts.append(_section(name, table))
    return "\n".join(parts)


def _introduction() -> str:
    return resources.files("sitewright.builder.config").joinpath("introduction.txt").read_text(encoding="utf-8")


def _section(name: str, table: Table) -> str:
    title = f"[[{name}]]" if table.many else f"[{name}]"
    lines = [f"## `{title}`", "", table.about, ""]
    if table.free is not None:
        lines += [f"Each value: {table.free.words}.", ""]
    rows = _rows(table.named or table, "")
    if rows:
        lines += ["| key | value | |", "|---|---|---|", *rows, ""]
    example = table.example or _example(title, table)
    return "\n".join([*lines, *(f"    {line}".rstrip() for line in example.splitlines()), ""])


def _rows(table: Table, before: str) -> list[str]:
    rows: list[str] = []
    for name, key in table.keys.items():
        full = f"{before}{name}"
        if isinstance(key, Key):
            about = " ".join(part for part in ("Needed." if key.needed else "", key.about) if part)
            rows.append(f"| `{full}` | {key.kind.words} | {about} |")
        else:
            inner = key.named or key
            about = f"{key.about} Each value: {key.free.words}." if key.free else key.about
            if key.named is None and key.free is not None:
                rows.append(f"| `{full}` | a table | {about} |")
            rows += _rows(inner, f"{full}.<name>." if key.named else f"{full}.")
    return rows


def _example(title: str, table: Table) -> str:
    pairs = [f"{name} = {key.example}" for name, key in table.keys.items() if isinstance(key, Key) and key.example]
    inner = [
        f"{name} = {{ {', '.join(f'{one} = {key.example}' for one, key in below.keys.items() if isinstance(key, Key))} }}"
        for name, below in table.keys.items()
        if isinstance(below, Table) and below.keys
    ]
    return "\n".join((title, *pairs, *inner))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n" if "--json" in sys.argv else reference())
