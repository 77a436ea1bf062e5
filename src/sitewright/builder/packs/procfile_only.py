"""A Procfile and nothing else known: run what it says."""

from __future__ import annotations

from sitewright.builder.packs.base import PackPlan, Toolchain
from sitewright.builder.procfile import parse_procfile
from sitewright.builder.tree import Tree


def procfile_pack(tree: Tree, _toolchain: Toolchain) -> PackPlan | None:
    """The plan for a tree of which only the Procfile says something."""
    processes = parse_procfile(tree.text("Procfile"))
    if not processes:
        return None
    return PackPlan(pack="procfile", title="app with a Procfile", notes=("Found a Procfile.",), processes=processes)
