"""From what a pack wants to the steps of one build. Pure: values in, values out."""

from __future__ import annotations

from dataclasses import dataclass

from sitewright.builder.packs.base import Install, Layout, PackPlan, Step
from sitewright.builder.tree import Tree
from sitewright.commands import archive
from sitewright.domain.processes import Listen, ProcessSpec
from sitewright.domain.release import Blueprint
from sitewright.errors import BuildError

DEPENDENCY_CACHE = "/cache/dependencies"


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known besides the tree. ``kept``: fingerprints whose result is in the site's cache. ``present``: fingerprint that the tree's
    own folder was made for (live mode builds in place)."""

    kept: frozenset[str] = frozenset()
    present: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """Steps in order. ``installed``: fingerprints that are in the tree once they have run; ``restored``: titles of the steps that take
    something from the cache, after whose failure a plan without the cache is made."""

    steps: tuple[Step, ...]
    installed: tuple[str, ...] = ()
    restored: frozenset[str] = frozenset()


def make_plan(pack: PackPlan, situation: Situation) -> BuildPlan:
    """The steps: dependencies (installed, taken from the cache, or left as they are), then the pack's own."""
    steps: list[Step] = []
    restored: set[str] = set()
    for install in pack.installs:
        if install.fingerprint and install.fingerprint in situation.present:
            continue
        if install.fingerprint in situation.kept:
            step = _restore(install)
            restored.add(step.title)
            steps.append(step)
            continue
        steps += install.steps
        if install.fingerprint:
            steps.append(_keep(install))
    steps += pack.steps
    installed = tuple(install.fingerprint for install in pack.installs if install.fingerprint)
    return BuildPlan(tuple(steps), installed, frozenset(restored))


def _restore(install: Install) -> Step:
    return Step(
        f"{install.what} are unchanged: taking them from the last build",
        archive.unpack(f"{DEPENDENCY_CACHE}/{install.fingerprint}.tar", "/app"),
    )


def _keep(install: Install) -> Step:
    return Step(
        f"Keeping {install.what} for the next build",
        ("/usr/bin/python3", "-I", "/sitewright/inside/keep.py", DEPENDENCY_CACHE, install.fingerprint, install.folder),
    )


def make_blueprint(pack: PackPlan, built: Tree, stack: str) -> Blueprint:
    """What the built tree needs to run. Raises BuildError when a build that should have made pages made none."""
    if pack.layout is not None:
        return _from_output(pack, pack.layout, built, stack)
    if pack.static_root is None and not any(process.type == "web" for process in pack.processes):
        raise BuildError(
            "The Procfile has no web process.",
            details="Without one, nobody can visit the site.",
            resolution="Add a line like “web: gunicorn app:app” to the Procfile, and deploy again.",
        )
    return Blueprint(pack=pack.pack, stack=stack, processes=pack.processes, static_root=pack.static_root, env=pack.env)


def _from_output(pack: PackPlan, layout: Layout, built: Tree, stack: str) -> Blueprint:
    """Of a build that makes pages, or a server of its own."""
    server = built.first(*layout.servers)
    if server:
        web = ProcessSpec(type="web", command=f"exec node {server}", listen=Listen.PORT, adopts=True)
        processes = pack.processes if any(one.type == "web" for one in pack.processes) else (web, *pack.processes)
        return Blueprint(pack=pack.pack, stack=stack, processes=processes, env=layout.server_env)
    root = next((folder for folder in layout.candidates if built.has(f"{folder}/index.html")), None)
    if root is None:
        # Angular and others make a folder with the project's name.
        named = built.matching(r"dist/[^/]+/(?:browser/)?index\.html")
        root = named[0].rpartition("/")[0] if len(named) == 1 else None
    if root is None:
        raise BuildError(
            "The build ran, but made no index.html.",
            details=f"It is looked for in: {', '.join(layout.candidates)}.",
            resolution="Set the build's output folder to one of these, or add a start script, and deploy again.",
        )
    pages = [name for name in built.files if name.startswith(f"{root}/") and name.endswith(".html")]
    fallback = "index.html" if layout.spa and pages == [f"{root}/index.html"] else ""
    return Blueprint(pack=pack.pack, stack=stack, processes=pack.processes, static_root=root, fallback=fallback, env=pack.env)
