"""Static sites: HTML as it is, or made by MkDocs."""

from __future__ import annotations

import re

from sitewright.builder.packs.base import Layout, PackPlan, Step, Toolchain
from sitewright.builder.packs.python import RUN_ENV
from sitewright.builder.packs.python.dependencies import dependencies
from sitewright.builder.procfile import parse_procfile
from sitewright.builder.tree import Tree

HTML_FOLDERS = ("", "public", "dist", "site", "build", "_site", "docs", "html", "www", "htdocs", "out")
_SITE_DIR = re.compile(r"^site_dir\s{0,4}:\s{0,4}[\"']?([A-Za-z0-9_][A-Za-z0-9_./-]{0,100})[\"']?\s*$", re.MULTILINE)


def mkdocs_pack(tree: Tree, toolchain: Toolchain) -> PackPlan | None:
    """The plan for an MkDocs site, None when there is no mkdocs.yml at the root."""
    config = tree.first("mkdocs.yml", "mkdocs.yaml")
    if not config:
        return None
    match = _SITE_DIR.search(tree.text(config))
    output = match[1].strip("/") if match and ".." not in match[1] else "site"
    listed = tree.text("requirements.txt") + tree.text("pyproject.toml")
    install, _ = dependencies(tree, toolchain, () if "mkdocs" in listed.lower() else ("mkdocs<2",))
    return PackPlan(
        pack="mkdocs",
        title="MkDocs site",
        needs=("python",),
        notes=(f"Found {config}: this is an MkDocs site.",),
        installs=(install,),
        steps=(
            Step(
                "Making the pages",
                ("/app/.venv/bin/mkdocs", "build", "--config-file", config),
                advice="Themes and plug-ins that mkdocs.yml names must be listed in requirements.txt.",
            ),
        ),
        layout=Layout((output,)),
        build_env=(*RUN_ENV, ("UV_PROJECT_ENVIRONMENT", "/app/.venv"), ("NO_MKDOCS_2_WARNING", "1")),
        dropped=(".venv",),
    )


def static_pack(tree: Tree, _toolchain: Toolchain) -> PackPlan | None:
    """The plan for plain HTML: the first usual folder with an index.html, or one single folder that has it.

    A Procfile with a web line says that something else answers, so this pack steps back; its other lines run beside the files.
    """
    processes = parse_procfile(tree.text("Procfile"))
    if any(process.type == "web" for process in processes):
        return None
    folder = next((name for name in HTML_FOLDERS if tree.has(f"{name}/index.html" if name else "index.html")), None)
    if folder is None:
        pages = tree.matching(r"[^/]+/index\.html")
        if len(pages) != 1:
            return None
        folder = pages[0].rpartition("/")[0]
    where = f"{folder}/index.html" if folder else "index.html"
    note = f"Found {where}: this is a static site."
    return PackPlan(pack="static", title="static site", notes=(note,), static_root=folder, processes=processes)
