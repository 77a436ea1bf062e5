"""Node: an app with a start script or a server file, or a front end whose build makes static files."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import Any

from sitewright.builder.packs.base import Install, Layout, PackPlan, Step, Toolchain
from sitewright.builder.packs.node.commands import direct_command, web_process
from sitewright.builder.packs.node.managers import PackageManager, package_manager
from sitewright.builder.procfile import parse_procfile
from sitewright.builder.tree import Tree
from sitewright.commands import npm
from sitewright.errors import BuildError

PACK_VERSION = "1"
OUTPUTS = (
    *("dist", "build", "out", "_site", ".output/public", "docs/.vitepress/dist", ".vitepress/dist", "dist/browser"),
    *("storybook-static", "www", "public"),
)
SERVER_OUTPUTS = (".output/server/index.mjs", "build/index.js", "dist/server/entry.mjs")
"""Of Nuxt and others on Nitro, of SvelteKit's and of Astro's adapter for Node."""
SERVER_FILES = (
    "server.js",
    "index.js",
    "app.js",
    "main.js",
    "server.mjs",
    "index.mjs",
    "app.mjs",
    "main.mjs",
    "src/server.js",
    "src/index.js",
)
RUN_ENV = (("NODE_ENV", "production"), ("PATH", "/app/node_modules/.bin:/usr/local/bin:/usr/bin:/bin"))
BUILD_SCRIPTS = ("build", "docs:build", "generate")
"""The first of these that there is makes the pages or the server."""
START_SCRIPTS = ("start:prod", "start")
_BUILDERS = {"@11ty/eleventy": "eleventy", "vite": "vite", "vitepress": "vitepress", "astro": "astro"}
"""Packages that build without a script of package.json, and their programs."""
_DEVELOPMENT_SERVER = re.compile(
    r"^(?:npx )?(react-scripts start|vite( dev| serve)?\b|ng serve|webpack(-dev-server| serve)|parcel( serve)?\b|vue-cli-service serve"
    r"|(?:\S*eleventy|11ty)\b.*--(?:serve|watch)|(?:astro|nuxi?|next|vitepress|svelte-kit|gatsby) dev(?:elop)?\b|gatsby develop"
    r"|docusaurus start|snowpack dev|vuepress dev|live-server\b)"
)
_LOCAL = ("file:", "link:", "workspace:", "git", "http", ".", "/")


def node_pack(tree: Tree, toolchain: Toolchain) -> PackPlan | None:
    """The plan for a Node app or front end, None when neither package.json nor a lone server file is there."""
    if not tree.has("package.json"):
        return _lone_script(tree)
    package = tree.json("package.json")
    scripts = _texts(package, "scripts")
    build = _build_command(tree, package, scripts)
    start = _start_command(tree, package, scripts, built=bool(build))
    processes = parse_procfile(tree.text("Procfile")) if tree.has("Procfile") else ()
    if not any(process.type == "web" for process in processes) and start:
        processes = (web_process(start), *processes)
    if not processes and not build:
        _refuse_without_html(tree)
        return None
    manager = package_manager(tree, package)
    installs, notes = _installs(tree, package, toolchain, manager)
    steps = (Step("Building", manager.wrapped(build), network=True, usual=True),) if build else ()
    base = PackPlan(
        pack="node", title="Node app", needs=("node",), installs=installs, steps=steps, build_env=(("PATH", dict(RUN_ENV)["PATH"]),)
    )
    if processes:
        pruned = manager.name == "npm" and build and installs and _runs_without_development_packages(package, scripts, start)
        prune = (Step("Removing development packages", npm.prune(), network=True),) if pruned else ()
        found = ("Found package.json: this is a Node app.", *notes)
        return replace(base, notes=found, steps=steps + prune, processes=processes, env=RUN_ENV)
    found = ("Found package.json with a build script and nothing to start: its output is served.", *notes)
    layout = Layout(OUTPUTS, spa=True, servers=SERVER_OUTPUTS, server_env=RUN_ENV)
    return replace(base, pack="node-static", title="front end", notes=found, layout=layout, dropped=("node_modules",))


def _build_command(tree: Tree, package: dict[str, Any], scripts: dict[str, str]) -> tuple[str, ...]:
    script = next((name for name in BUILD_SCRIPTS if name in scripts), "")
    if script:
        return npm.run_script(script)
    listed = {**_texts(package, "dependencies"), **_texts(package, "devDependencies")}
    program = next((program for name, program in _BUILDERS.items() if name in listed), "")
    serves = scripts.get("start", "") and not _DEVELOPMENT_SERVER.match(scripts["start"])
    if not program or serves or tree.first(*SERVER_FILES):
        return ()
    return (f"/app/node_modules/.bin/{program}", *(() if program == "eleventy" else ("build",)))


def _runs_without_development_packages(package: dict[str, Any], scripts: dict[str, str], start: str) -> bool:
    """Whether the program that the start script names is Node itself or of a package that stays."""
    script = next((scripts[name] for name in START_SCRIPTS if name in scripts), "")
    program = script.split(maxsplit=1)[0] if script.strip() else "node"
    return "exec node " in start or program in {"node", *_texts(package, "dependencies")}


def _lone_script(tree: Tree) -> PackPlan | None:
    script = tree.first("server.js", "server.mjs") or ("" if tree.has("index.html") else tree.first("index.js", "app.js", "index.mjs"))
    if not script:
        return None
    processes = parse_procfile(tree.text("Procfile")) if tree.has("Procfile") else ()
    web = web_process(f"exec node {script}")
    return PackPlan(
        pack="node",
        title="Node app",
        needs=("node",),
        notes=(f"Found {script}: this is a Node app without dependencies.",),
        processes=processes or (web,),
        env=RUN_ENV,
    )


def _refuse_without_html(tree: Tree) -> None:
    """A folder of HTML that happens to have a package.json is served as it is; without HTML it is an error."""
    if any(tree.has(f"{folder}index.html") for folder in ("", "public/", "dist/")):
        return
    raise BuildError(
        "package.json has neither a start script nor a build script.",
        details=f"There is also none of these files: {', '.join(SERVER_FILES[:4])}.",
        resolution='Add “"start": "node your-file.js"” under “scripts” in package.json, and deploy again.',
    )


def _start_command(tree: Tree, package: dict[str, Any], scripts: dict[str, str], *, built: bool) -> str:
    name = next((name for name in START_SCRIPTS if scripts.get(name, "").strip() and (built or name == "start")), "")
    start = scripts[name].strip() if name else ""
    if start and not (built and _DEVELOPMENT_SERVER.match(start)):
        return ("" if tree.has(".npmrc") else direct_command(package, scripts, name)) or f"exec npm run --silent {name}"
    if start or built:
        return ""
    main = package.get("main")
    file = main.removeprefix("./") if isinstance(main, str) and tree.has(main.removeprefix("./")) else tree.first(*SERVER_FILES)
    return f"exec node {file}" if file and re.fullmatch(r"[A-Za-z0-9_][\w./-]*", file) else ""


def _texts(package: dict[str, Any], key: str) -> dict[str, str]:
    table = package.get(key, {})
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise BuildError(f"package.json: “{key}” must hold names and texts.", resolution="Correct package.json and deploy again.")
    return table


def _installs(
    tree: Tree, package: dict[str, Any], toolchain: Toolchain, manager: PackageManager
) -> tuple[tuple[Install, ...], tuple[str, ...]]:
    dependencies = {**_texts(package, "dependencies"), **_texts(package, "devDependencies"), **_texts(package, "optionalDependencies")}
    if not dependencies and "workspaces" not in package:
        return (), ("No dependencies are listed.",)
    local = "workspaces" in package or tree.has("pnpm-workspace.yaml") or any(value.startswith(_LOCAL) for value in dependencies.values())
    own_scripts = any(name in _texts(package, "scripts") for name in ("preinstall", "install", "postinstall", "prepare"))
    step = Step(
        f"Installing what {manager.lock or 'package.json'} lists",
        manager.install(),
        env=manager.env,
        network=True,
        advice=f"Run “{manager.name} install” on your machine and deploy again with the new {manager.lock or 'package-lock.json'}.",
    )
    texts = (tree.text("package.json"), tree.text(manager.lock), manager.package)
    fingerprint = "" if local or own_scripts else _fingerprint(texts, toolchain)
    notes = (f"{manager.name} installs: there is {manager.lock}.",) if manager.package else ()
    return (Install("node_modules", fingerprint, (step,), "Node packages"),), notes


def _fingerprint(texts: tuple[str, ...], toolchain: Toolchain) -> str:
    digest = hashlib.sha256()
    for part in (PACK_VERSION, toolchain.node, toolchain.machine, *texts):
        digest.update(f"{len(part)}:{part}".encode())
    return f"node-{digest.hexdigest()[:32]}"
