"""Static sites: HTML as it is, or made by MkDocs."""

from __future__ import annotations

import re

from sitewright.builder.packs.base import Layout, PackPlan, Step, Toolchain
from sitewright.builder.packs.python import RUN_ENV
from sitewright.builder.packs.python.dependencies import dependencies
from sitewright.builder.procfile import parse_procfile
from sitewright.builder.tree import Tree
from sitewright.domain.processes import ProcessSpec
from sitewright.errors import BuildError

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
                usual=True,
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
            return _only_page(tree, processes)
        folder = pages[0].rpartition("/")[0]
    where = f"{folder}/index.html" if folder else "index.html"
    note = f"Found {where}: this is a static site."
    return PackPlan(pack="static", title="static site", notes=(note,), static_root=folder, processes=processes)


def _only_page(tree: Tree, processes: tuple[ProcessSpec, ...]) -> PackPlan | None:
    """The plan for pages without an index.html: one in other letters, or a single page, is what visitors of / see.

    Raises BuildError that names the pages when there are several. The page is copied, not renamed: links to its own name stay good.
    """
    pages = tree.matching(r"(?i:(?:[^/]+/){0,1}[^/]+\.html?)")
    top = [page for page in pages if "/" not in page] or list(pages)
    index = [page for page in top if re.fullmatch(r"(?i:(?:.*/)?(?:index|default|home)\.html?)", page)]
    chosen = index or top
    if not chosen:
        return None
    if len(chosen) > 1:
        raise BuildError(
            "There is no index.html, which is what visitors see first.",
            details=f"There are: {', '.join(chosen[:8])}.",
            resolution="Rename the first page to index.html, and deploy again.",
        )
    (page,) = chosen
    folder = page.rpartition("/")[0]
    copied = f"{folder}/index.html" if folder else "index.html"
    return PackPlan(
        pack="static",
        title="static site",
        notes=(f"Found {page}: this is a static site, and this page is its first.",),
        steps=(Step(f"Copying {page} to index.html", ("/usr/bin/cp", "--", page, copied)),),
        static_root=folder,
        processes=processes,
    )


def sphinx_pack(tree: Tree, toolchain: Toolchain) -> PackPlan | None:
    """The plan for Sphinx documentation: a conf.py with an index beside it, at the top or in docs/, and no app."""
    folder = next((name for name in ("", "docs/", "docs/source/", "source/", "doc/") if _is_sphinx(tree, name)), None)
    if folder is None or tree.has("manage.py") or tree.has("Procfile"):
        return None
    own = tree.first("requirements.txt", f"{folder}requirements.txt", "docs/requirements.txt")
    if own == "requirements.txt" and "sphinx" not in tree.text(own).lower():
        return None
    listed = tree.text(own).lower()
    source = folder.rstrip("/") or "."
    build = ("/app/.venv/bin/python", "-m", "sphinx", "-b", "html", source, "_site")
    missing = () if "sphinx" in listed else ("sphinx",)
    return _generated(tree, toolchain, ("Sphinx", f"{folder}conf.py"), missing, build, own)


def pelican_pack(tree: Tree, toolchain: Toolchain) -> PackPlan | None:
    """The plan for a Pelican blog: a pelicanconf.py at the top."""
    if not tree.has("pelicanconf.py"):
        return None
    own = tree.first("requirements.txt")
    settings = tree.first("publishconf.py", "pelicanconf.py")
    build = ("/app/.venv/bin/pelican", "content", "-o", "_site", "-s", settings)
    missing = () if "pelican" in tree.text(own).lower() else ("pelican[markdown]",)
    return _generated(tree, toolchain, ("Pelican", "pelicanconf.py"), missing, build, own)


def _generated(
    tree: Tree, toolchain: Toolchain, found: tuple[str, str], missing: tuple[str, ...], build: tuple[str, ...], requirements: str
) -> PackPlan:
    """A plan that installs, makes pages into _site, and drops everything that only that needed."""
    name, file = found
    install, _ = dependencies(tree, toolchain, missing, requirements)
    return PackPlan(
        pack=name.lower(),
        title=f"{name} site",
        needs=("python",),
        notes=(f"Found {file}: this is a {name} site.",),
        installs=(install,),
        steps=(Step("Making the pages", build, advice="Themes and extensions must be listed in requirements.txt.", usual=True),),
        layout=Layout(("_site",)),
        build_env=(*RUN_ENV, ("UV_PROJECT_ENVIRONMENT", "/app/.venv")),
        dropped=(".venv",),
    )


def _is_sphinx(tree: Tree, folder: str) -> bool:
    settings = tree.text(f"{folder}conf.py")
    return bool(re.search(r"^(?:extensions|html_theme|project)\b", settings, re.MULTILINE)) and bool(
        tree.first(f"{folder}index.rst", f"{folder}index.md")
    )
