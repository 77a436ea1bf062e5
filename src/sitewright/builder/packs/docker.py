"""A Dockerfile and nothing that this platform builds by itself: the image that it describes."""

from __future__ import annotations

from sitewright.builder.packs.base import PackPlan, Toolchain
from sitewright.builder.procfile import parse_procfile
from sitewright.builder.tree import Tree

PACK = "dockerfile"
USUAL = ("Dockerfile", "Containerfile")


def dockerfile_pack(tree: Tree, _toolchain: Toolchain) -> PackPlan | None:
    """The plan for a tree with a Dockerfile, whose Procfile does not say what answers visitors: that runs on every engine."""
    name = tree.first(*USUAL)
    if not name or any(process.type == "web" for process in parse_procfile(tree.text("Procfile"))):
        return None
    return plan_for(tree, name)


def plan_for(tree: Tree, name: str) -> PackPlan:
    """The plan for the Dockerfile of that name. What a Procfile says goes before the image's own command."""
    return PackPlan(
        pack=PACK,
        title="container image",
        notes=(f"Found {name}: the image that it describes is built.",),
        processes=parse_procfile(tree.text("Procfile")),
        dockerfile=name,
    )
