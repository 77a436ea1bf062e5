"""Which pack builds a tree. Pure: a summary in, a plan of a pack out."""

from __future__ import annotations

from sitewright.builder.config.follow import adjusted, has_web, with_lines
from sitewright.builder.config.model import NO_CONFIG, SiteConfig
from sitewright.builder.packs.base import Pack, PackPlan, Toolchain
from sitewright.builder.packs.docker import dockerfile_pack, plan_for
from sitewright.builder.packs.node import node_pack
from sitewright.builder.packs.php import php_pack
from sitewright.builder.packs.procfile_only import procfile_pack
from sitewright.builder.packs.python import python_pack
from sitewright.builder.packs.static import mkdocs_pack, pelican_pack, sphinx_pack, static_pack
from sitewright.builder.tree import Tree
from sitewright.errors import BuildError

PACKS: tuple[Pack, ...] = (
    php_pack,
    mkdocs_pack,
    pelican_pack,
    sphinx_pack,
    python_pack,
    node_pack,
    static_pack,
    dockerfile_pack,
    procfile_pack,
)
"""Asked in this order; the first that recognises the tree builds it. docs/reference/builder.md shows the same order."""


def detect(tree: Tree, toolchain: Toolchain, config: SiteConfig = NO_CONFIG) -> PackPlan:
    """The plan of the pack that recognises *tree*, as *config* wants it. Raises BuildError that says what to add when none does."""
    merged = with_lines(tree, config)
    own_web = has_web(merged)
    looked_at = merged if own_web else tree
    dockerfile = config.build.dockerfile
    found = plan_for(looked_at, dockerfile) if dockerfile else _recognised(looked_at, toolchain)
    if found is None and config.build.output is not None:
        found = PackPlan(pack="static", title="static site", notes=(f"{config.file} says what is served: this is a static site.",))
    if found is not None:
        return adjusted(found, config, toolchain, own_web=own_web)
    raise _unknown(tree)


def _recognised(tree: Tree, toolchain: Toolchain) -> PackPlan | None:
    return next((found for found in (pack(tree, toolchain) for pack in PACKS) if found is not None), None)


def _unknown(tree: Tree) -> BuildError:
    if not tree.files:
        return BuildError("The source is empty.", resolution="Add an index.html or your app's files, and deploy again.")
    shown = ", ".join(sorted({name.split("/")[0] + ("/" if "/" in name else "") for name in tree.files})[:12])
    return BuildError(
        "Nothing here says what kind of site this is.",
        details=f"Found: {shown}.",
        resolution="Add an index.html (static site), requirements.txt (Python), package.json (Node), index.php (PHP), a "
        "Procfile with a line like “web: ./my-server --port $PORT”.",
    )
