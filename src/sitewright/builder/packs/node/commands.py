"""How a Node app is started: by Node itself wherever npm would do nothing else. Pure."""

from __future__ import annotations

import re
from typing import Any

from sitewright.domain.processes import Listen, ProcessSpec

_PLAIN = re.compile(r"((?:[A-Z_]+=[\w./:@,+-]+ )*)node((?: [\w./=:@,+-]+)+)")
"""A script that is variables, Node and words: nothing that a shell would have a say in."""
_PLAIN_VALUE = re.compile(r"[\w./:@+-]+")


def web_process(command: str) -> ProcessSpec:
    """The web process of a Node app. One that runs Node itself can take the engine's socket (docs/decisions/010)."""
    return ProcessSpec(type="web", command=command, listen=Listen.PORT, adopts="exec node " in command)


def direct_command(package: dict[str, Any], scripts: dict[str, str], name: str) -> str:
    """What `npm run NAME` would do, without npm, which takes longer to start than most apps; "" where it would do more than run Node.

    Of npm's variables those are set that apps read: npm_lifecycle_event, npm_package_name, npm_package_version.
    """
    words = _PLAIN.fullmatch(" ".join(scripts[name].split()))
    if words is None or f"pre{name}" in scripts or f"post{name}" in scripts or "config" in package:
        return ""
    told = {"npm_lifecycle_event": name, "npm_package_name": package.get("name"), "npm_package_version": package.get("version")}
    known = (f"{key}={value} " for key, value in told.items() if isinstance(value, str) and _PLAIN_VALUE.fullmatch(value))
    return f"{''.join(known)}{words[1]}exec node{words[2]}"
