"""A Procfile and nothing else known: run what it says."""

from __future__ import annotations

import re

from sitewright.builder.packs.base import PackPlan, Step, Toolchain
from sitewright.builder.procfile import parse_procfile
from sitewright.builder.tree import Tree
from sitewright.domain.processes import ProcessSpec


def procfile_pack(tree: Tree, _toolchain: Toolchain) -> PackPlan | None:
    """The plan for a tree of which only the Procfile says something."""
    processes = parse_procfile(tree.text("Procfile"))
    if not processes:
        return None
    return PackPlan(
        pack="procfile", title="app with a Procfile", notes=("Found a Procfile.",), steps=_executable(tree, processes), processes=processes
    )


def _executable(tree: Tree, processes: tuple[ProcessSpec, ...]) -> tuple[Step, ...]:
    """Archives made on Windows do not say which files are programs."""
    named = (re.match(r"(?:exec )?\./([\w./-]+)", process.command) for process in processes)
    programs = tuple(sorted({match[1] for match in named if match and tree.has(match[1])}))
    if not programs:
        return ()
    return (Step(f"Making {', '.join(programs)} executable", ("/usr/bin/chmod", "+x", "--", *programs)),)
