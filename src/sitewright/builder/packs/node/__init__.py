"""Node: an app with a start script or a server file, or a front end whose build makes static files."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import Any

from sitewright.builder.packs.base import Install, Layout, PackPlan, Step, Toolchain
from sitewright.builder.procfile import parse_procfile
from sitewright.builder.tree import Tree
from sitewright.commands import npm
from sitewright.domain.processes import Listen, ProcessSpec
from sitewright.errors import BuildError

PACK_VERSION = "1"
OUTPUTS = ("dist", "build", "out", "_site", ".output/public", "docs/.vitepress/dist", "dist/browser", "www", "public")
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
_DEVELOPMENT_SERVER = re.compile(
    r"^(react-scripts start|vite( dev| serve)?\b|ng serve|webpack(-dev-server| serve)|parcel( serve)?\b|vue-cli-service serve)"
)
_LOCAL = ("file:", "link:", "workspace:", "git", "http", ".", "/")


def node_pack(tree: Tree, toolchain: Toolchain) -> PackPlan | None:
    """The plan for a Node app or front end, None when neither package.json nor a lone server file is there."""
    if not tree.has("package.json"):
        return _lone_script(tree)
    package = tree.json("package.json")
    scripts = _texts(package, "scripts")
    start = _start_command(tree, package, scripts)
    processes = parse_procfile(tree.text("Procfile")) if tree.has("Procfile") else ()
    if not any(process.type == "web" for process in processes) and start:
        processes = (ProcessSpec(type="web", command=start, listen=Listen.PORT), *processes)
    built = "build" in scripts
    if not processes and not built:
        _refuse_without_html(tree)
        return None
    installs, notes = _installs(tree, package, toolchain)
    steps = (Step("Running the build script", npm.run_script("build"), network=True),) if built else ()
    base = PackPlan(
        pack="node", title="Node app", needs=("node",), installs=installs, steps=steps, build_env=(("PATH", dict(RUN_ENV)["PATH"]),)
    )
    if processes:
        prune = (Step("Removing development packages", npm.prune(), network=True),) if built and installs else ()
        found = ("Found package.json: this is a Node app.", *notes)
        return replace(base, notes=found, steps=steps + prune, processes=processes, env=RUN_ENV)
    found = ("Found package.json with a build script and nothing to start: its output is served.", *notes)
    layout = Layout(OUTPUTS, spa=True, servers=SERVER_OUTPUTS, server_env=RUN_ENV)
    return replace(base, pack="node-static", title="front end", notes=found, layout=layout, dropped=("node_modules",))


def _lone_script(tree: Tree) -> PackPlan | None:
    script = tree.first("server.js", "server.mjs") or ("" if tree.has("index.html") else tree.first("index.js", "app.js", "index.mjs"))
    if not script:
        return None
    processes = parse_procfile(tree.text("Procfile")) if tree.has("Procfile") else ()
    web = ProcessSpec(type="web", command=f"exec node {script}", listen=Listen.PORT)
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


def _start_command(tree: Tree, package: dict[str, Any], scripts: dict[str, str]) -> str:
    start = scripts.get("start", "").strip()
    if start and not ("build" in scripts and _DEVELOPMENT_SERVER.match(start)):
        return "exec npm run --silent start"
    if start or "build" in scripts:
        return ""
    main = package.get("main")
    file = main.removeprefix("./") if isinstance(main, str) and tree.has(main.removeprefix("./")) else tree.first(*SERVER_FILES)
    return f"exec node {file}" if file and re.fullmatch(r"[A-Za-z0-9_][\w./-]*", file) else ""


def _texts(package: dict[str, Any], key: str) -> dict[str, str]:
    table = package.get(key, {})
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise BuildError(f"package.json: “{key}” must hold names and texts.", resolution="Correct package.json and deploy again.")
    return table


def _installs(tree: Tree, package: dict[str, Any], toolchain: Toolchain) -> tuple[tuple[Install, ...], tuple[str, ...]]:
    dependencies = {**_texts(package, "dependencies"), **_texts(package, "devDependencies"), **_texts(package, "optionalDependencies")}
    if not dependencies and "workspaces" not in package:
        return (), ("No dependencies are listed.",)
    lock = tree.first("package-lock.json", "npm-shrinkwrap.json")
    other = tree.first("pnpm-lock.yaml", "yarn.lock")
    notes = (f"{other} is not used: npm chooses versions by package.json.",) if other and not lock else ()
    local = "workspaces" in package or any(value.startswith(_LOCAL) for value in dependencies.values())
    own_scripts = any(name in _texts(package, "scripts") for name in ("preinstall", "install", "postinstall", "prepare"))
    step = Step(
        f"Installing what {lock or 'package.json'} lists",
        npm.install(locked=bool(lock)),
        network=True,
        advice="Run “npm install” on your machine and deploy again with the new package-lock.json.",
    )
    fingerprint = "" if local or own_scripts else _fingerprint((tree.text("package.json"), tree.text(lock)), toolchain)
    return (Install("node_modules", fingerprint, (step,), "Node packages"),), notes


def _fingerprint(texts: tuple[str, ...], toolchain: Toolchain) -> str:
    digest = hashlib.sha256()
    for part in (PACK_VERSION, toolchain.node, toolchain.machine, *texts):
        digest.update(f"{len(part)}:{part}".encode())
    return f"node-{digest.hexdigest()[:32]}"
