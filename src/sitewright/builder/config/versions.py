"""Whether the platform's runtimes are what a configuration asks for. Pure."""

from __future__ import annotations

import re

from sitewright.builder.config.keys import FILE
from sitewright.builder.packs.base import Toolchain
from sitewright.errors import BuildError

_BOUND = re.compile(r"(>=|<=|==|<|>|~|\^)?\s*v?(\d+(?:\.\d+){0,2})(?:\.[x*])?")
Version = tuple[int, ...]


def check_versions(asked: tuple[tuple[str, str], ...], needs: tuple[str, ...], toolchain: Toolchain) -> None:
    """Raise BuildError when a runtime that is needed is there in another version; one that has not said its version yet passes."""
    there = {"python": toolchain.python, "node": toolchain.node, "php": toolchain.php}
    for runtime, bounds in asked:
        found = re.search(r"\d+(?:\.\d+){0,2}", there.get(runtime, ""))
        if runtime in needs and found and not fits(found[0], bounds):
            raise BuildError(
                f"{FILE} asks for {runtime} {bounds}, and this platform has {found[0]}.",
                details="There is one version of each runtime, the operating system's.",
                resolution=f"Change “{runtime}” in [build.versions], or remove the line, and deploy again.",
            )


def fits(version: str, bounds: str) -> bool:
    """Whether a version is within bounds like `3.11`, `>=18,<23`, `^20.1`."""
    return all(_holds(_numbers(version), bound.strip()) for bound in bounds.split(","))


def _holds(version: Version, bound: str) -> bool:
    found = _BOUND.fullmatch(bound)
    if found is None:
        return True
    wanted = _numbers(found[2])
    there, least, same = _padded(version), _padded(wanted), version[: len(wanted)]
    holds = {
        ">=": there >= least,
        "<": there < least,
        "<=": same <= wanted,
        ">": same > wanted,
        "^": there >= least and there[:1] == least[:1],
        "~": there >= least and there[:2] == least[:2],
    }
    return holds.get(found[1] or "==", same == wanted)


def _numbers(text: str) -> Version:
    return tuple(int(part) for part in text.split("."))


def _padded(version: Version) -> Version:
    return (*version, 0, 0, 0)[:3]
