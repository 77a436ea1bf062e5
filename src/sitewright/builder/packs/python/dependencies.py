"""How a Python app's dependencies are installed, and the fingerprint under which they are kept. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from sitewright.builder.packs.base import Install, Step, Toolchain
from sitewright.builder.packs.python.others import pipfile_requirements, poetry_requirements
from sitewright.builder.tree import Tree
from sitewright.commands import uv
from sitewright.errors import BuildError

ENVIRONMENT = "/app/.venv"
FOLDER = ".venv"
PACK_VERSION = "2"
"""Goes up when this file installs differently, so that nothing made by the old way is used again."""

_INCLUDE = re.compile(r"^(?:-r|-c|--requirement|--constraint)[ =]?\s*(?P<file>\S+)")
_LOCAL = re.compile(r"^(?:-e\b|--editable|\.{0,2}/|\.(?:\s|\[|$)|file:)|(?:@\s*file:|@\s*\.)")
_VERSION = re.compile(r"(>=|<=|==|!=|~=|<|>)\s*(\d+)(?:\.(\d+))?")
_NAME = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)")
_ADVICE = "Read the lines above: they name the package. Correct {file}, and deploy again."


def dependencies(
    tree: Tree, toolchain: Toolchain, servers: tuple[str, ...], requirements: str = "requirements.txt"
) -> tuple[Install, tuple[str, ...]]:
    """The install steps, and lines for the log. *servers* are packages that the start command needs and the app does not list."""
    _check_python(tree, toolchain)
    if requirements != "requirements.txt":
        found_in: tuple[Callable[[], Found | None], ...] = (lambda: _from_requirements(tree, servers, requirements),)
    else:
        found_in = tuple(partial(found, tree, servers) for found in (_from_lock, _from_requirements, _from_pipfile, _from_project))
    for find in found_in:
        result = find()
        if result is not None:
            steps, sources, note = result
            return Install(FOLDER, _fingerprint(tree, toolchain, sources, servers), steps, "Python packages"), (note,)
    steps = (_environment(), *_packages(servers))
    return Install(FOLDER, _fingerprint(tree, toolchain, (), servers), steps, "Python packages"), ("No dependencies are listed.",)


Found = tuple[tuple[Step, ...], tuple[str, ...] | None, str]
"""Steps; files that the result depends on, None when more than files; a line for the log."""


def _from_lock(tree: Tree, servers: tuple[str, ...]) -> Found | None:
    if not tree.has("uv.lock", "pyproject.toml"):
        return None
    step = Step(
        "Installing what uv.lock says",
        uv.sync(project=is_package(tree)),
        network=True,
        advice="Run “uv lock” on your machine, and deploy again with the new uv.lock.",
    )
    sources = None if is_package(tree) else ("uv.lock", "pyproject.toml")
    return (_environment(), step, *_packages(servers)), sources, "The versions come from uv.lock."


def _from_requirements(tree: Tree, servers: tuple[str, ...], file: str = "requirements.txt") -> Found | None:
    if not tree.has(file):
        return None
    sources = _included(tree, file)
    step = Step(
        f"Installing what {file} lists",
        uv.install(ENVIRONMENT, requirements=(file,), packages=servers),
        network=True,
        advice=_ADVICE.format(file=file),
    )
    rewritten = tuple(_rewritten(tree, name) for name in sources or () if tree.is_foreign(name))
    return (_environment(), *rewritten, step), sources, _added(servers)


def _rewritten(tree: Tree, file: str) -> Step:
    """“pip freeze > requirements.txt” in Windows' PowerShell makes UTF-16, which no installer reads."""
    return Step(f"Writing {file} anew as UTF-8", ("/usr/bin/python3", "-I", "/sitewright/inside/put.py", file, tree.text(file)))


def _from_pipfile(tree: Tree, servers: tuple[str, ...]) -> Found | None:
    listed = pipfile_requirements(tree)
    if listed is None:
        return None
    return (_environment(), *_listed(listed, servers, "Pipfile")), ("Pipfile", "Pipfile.lock"), _added(servers)


def _listed(listed: tuple[str, ...], servers: tuple[str, ...], file: str) -> tuple[Step, ...]:
    if not listed and not servers:
        return ()
    argv = uv.install(ENVIRONMENT, packages=(*listed, *servers))
    return (Step(f"Installing what {file} lists", argv, network=True, advice=_ADVICE.format(file=file)),)


def _from_project(tree: Tree, servers: tuple[str, ...]) -> Found | None:
    if not tree.has("pyproject.toml") and not tree.has("setup.py"):
        return None
    poetry = poetry_requirements(tree)
    if is_package(tree) or not tree.has("pyproject.toml"):
        argv = uv.install_project(ENVIRONMENT, "/app", packages=servers)
        sources: tuple[str, ...] | None = None
    elif project_table(tree):
        argv = uv.install(ENVIRONMENT, requirements=("pyproject.toml",), packages=servers)
        sources = ("pyproject.toml",)
    elif poetry is not None:
        return (_environment(), *_listed(poetry, servers, "pyproject.toml")), ("pyproject.toml", "poetry.lock"), _added(servers)
    else:
        return None
    step = Step("Installing what pyproject.toml lists", argv, network=True, advice=_ADVICE.format(file="pyproject.toml"))
    return (_environment(), step), sources, _added(servers)


def _added(servers: tuple[str, ...]) -> str:
    return f"{', '.join(servers)} is added to serve the app." if servers else "The app brings its own server."


def _environment() -> Step:
    return Step("Making a virtual environment", uv.make_environment(ENVIRONMENT))


def _packages(servers: tuple[str, ...]) -> tuple[Step, ...]:
    if not servers:
        return ()
    return (Step(f"Installing {', '.join(servers)}", uv.install(ENVIRONMENT, packages=servers), network=True),)


def project_table(tree: Tree) -> dict[str, Any]:
    """The [project] table of pyproject.toml, {} when there is none."""
    table = tree.toml("pyproject.toml").get("project", {})
    return table if isinstance(table, dict) else {}


def is_package(tree: Tree) -> bool:
    """Whether the project is one to install itself: it says how to build it (or tells uv or Poetry that it is a package), and there is code
    where a builder looks for it. An app that only lists what it needs is not."""
    document = tree.toml("pyproject.toml")
    tools = _table(document, "tool")
    settings, poetry = _table(tools, "uv"), _table(tools, "poetry")
    if "package" in settings:
        return bool(settings["package"])
    if "build-system" not in document or poetry.get("package-mode") is False:
        return False
    told = "packages" in poetry or not tools.keys().isdisjoint({"setuptools", "hatch", "flit", "pdm"})
    name = project_table(tree).get("name") or poetry.get("name") or ""
    module = re.sub(r"[-_.]+", "_", str(name)).lower()
    there = any(file.lower().startswith((f"{module}/", "src/")) or file.lower() == f"{module}.py" for file in tree.files)
    return told or there or tree.first("setup.py", "setup.cfg") != ""


def _table(document: dict[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name, {})
    return value if isinstance(value, dict) else {}


def _check_python(tree: Tree, toolchain: Toolchain) -> None:
    """Raises BuildError when the project says that it does not run on this Python."""
    required = project_table(tree).get("requires-python", "")
    match = re.search(r"(\d+)\.(\d+)", toolchain.python)
    if not isinstance(required, str) or match is None:
        return
    here = (int(match[1]), int(match[2]))
    for operator, major, minor in _VERSION.findall(required):
        wanted = (int(major), int(minor or 0))
        allowed = {
            ">=": here >= wanted, ">": here >= wanted, "~=": here >= wanted and here[0] == wanted[0], "==": here == wanted or not minor,
            "<=": here <= wanted, "<": here < wanted or (here == wanted and _has_patch(required)), "!=": True,
        }[operator]  # fmt: skip
        if not allowed:
            raise BuildError(
                f"The project needs Python {required}; this platform has {here[0]}.{here[1]}.",
                details="It is written in pyproject.toml, as requires-python.",
                resolution="Allow this version in requires-python, if the code runs on it, and deploy again.",
            )


def _has_patch(required: str) -> bool:
    """Whether a third number is compared, which is not looked at here: what is not sure is left to the installer."""
    return bool(re.search(r"\d+\.\d+\.\d", required))


def _included(tree: Tree, file: str) -> tuple[str, ...] | None:
    """The file and all that it includes; None when it names something local, whose contents were not looked at."""
    seen: list[str] = []
    waiting = [file]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        if name not in tree.texts:
            return None
        seen.append(name)
        for line in map(str.strip, tree.text(name).splitlines()):
            if _LOCAL.search(line):
                return None
            match = _INCLUDE.match(line)
            if match:
                folder = name.rpartition("/")[0]
                waiting.append(f"{folder}/{match['file']}" if folder else match["file"])
    return tuple(seen)


def _fingerprint(tree: Tree, toolchain: Toolchain, sources: tuple[str, ...] | None, servers: tuple[str, ...]) -> str:
    if sources is None:
        return ""
    digest = hashlib.sha256()
    sources = tuple(name for name in sources if tree.has(name))
    parts = [PACK_VERSION, toolchain.python, toolchain.machine, *servers]
    for name in sources:
        parts += [name, tree.text(name)]
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    return f"python-{digest.hexdigest()[:32]}"


def requirement_names(tree: Tree) -> frozenset[str]:
    """Names of the packages that the app lists directly, normalised (`Flask_Login` is `flask-login`), extras also as `name[extra]`."""
    lines: list[str] = []
    for file in _included(tree, "requirements.txt") or ("requirements.txt",):
        lines += tree.text(file).splitlines()
    listed = project_table(tree).get("dependencies", [])
    lines += [item for item in listed if isinstance(item, str)] if isinstance(listed, list) else []
    names: set[str] = set()
    lines += [*(pipfile_requirements(tree) or ()), *(poetry_requirements(tree) or ())]
    for line in lines:
        match = _NAME.match(line.strip())
        if match:
            name = re.sub(r"[-_.]+", "-", match[1]).lower()
            names.add(name)
            extras = re.match(r"\s*\[([^\]]*)\]", line.strip()[match.end() :])
            if extras:
                names |= {f"{name}[{extra.strip().lower()}]" for extra in extras[1].split(",")}
    return frozenset(names)
