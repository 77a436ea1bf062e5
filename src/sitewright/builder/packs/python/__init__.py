"""Python: requirements.txt, pyproject.toml or uv.lock; Django, Flask, FastAPI and others without a Procfile."""

from __future__ import annotations

import re

from sitewright.builder.packs.base import PackPlan, Step, Toolchain
from sitewright.builder.packs.python.dependencies import ENVIRONMENT, dependencies, requirement_names
from sitewright.builder.packs.python.found import WebApp
from sitewright.builder.packs.python.warm import warmed
from sitewright.builder.packs.python.webapp import find_web_app
from sitewright.builder.procfile import parse_procfile
from sitewright.builder.tree import Tree
from sitewright.domain.processes import ProcessSpec
from sitewright.errors import BuildError

RUN_ENV = (
    ("PATH", "/app/.venv/bin:/usr/local/bin:/usr/bin:/bin"),
    ("VIRTUAL_ENV", "/app/.venv"),
    ("PYTHONUNBUFFERED", "1"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
)
_CALLS_PYTHON = re.compile(r"^[\w-]+\s{0,4}:\s{0,4}(?:exec )?(?:python3?|gunicorn|uvicorn|flask|hypercorn|waitress-serve)\s", re.MULTILINE)
MARKERS = ("requirements.txt", "pyproject.toml", "uv.lock", "manage.py", "setup.py", "Pipfile")


def python_pack(tree: Tree, toolchain: Toolchain) -> PackPlan | None:
    """The plan for a Python app, None when nothing Python is at the root."""
    marker = tree.first(*MARKERS) or _top_level_app(tree)
    if not marker:
        return None
    names = requirement_names(tree)
    app = find_web_app(tree, names)
    processes = tuple(warmed(process) for process in _processes(tree, app))
    needed = _servers(processes, names)
    install, notes = dependencies(tree, toolchain, needed)
    django = "manage.py" in tree.names
    return PackPlan(
        pack="python",
        title=f"Python app ({app.framework})" if app else "Python app",
        needs=("python",),
        notes=(f"Found {marker}: this is a Python app.", *notes),
        installs=(install,),
        steps=_django_steps() if django else (),
        processes=processes,
        static_root=".sitewright/public" if django else None,
        env=RUN_ENV,
        build_env=(*RUN_ENV, ("UV_PROJECT_ENVIRONMENT", ENVIRONMENT)),
    )


def _top_level_app(tree: Tree) -> str:
    """A Python file at the root that makes a web app, or a Procfile that calls Python, when nothing else says that this is Python."""
    if tree.has("package.json") or tree.has("index.php") or (tree.has("index.html") and not tree.has("Procfile")):
        return ""
    if _CALLS_PYTHON.search(tree.text("Procfile")):
        return "Procfile"
    return tree.first("app.py", "wsgi.py", "main.py", "asgi.py", "application.py", "server.py")


def _processes(tree: Tree, app: WebApp | None) -> tuple[ProcessSpec, ...]:
    if tree.has("Procfile"):
        listed = parse_procfile(tree.text("Procfile"))
        if listed:
            return listed
    if app is None:
        raise _no_start_command(tree)
    release = (ProcessSpec(type="release", command="python manage.py migrate --noinput"),) if app.framework == "Django" else ()
    return (app.process(), *release)


def _no_start_command(tree: Tree) -> BuildError:
    looked = ", ".join(tree.matching(r"[^/]+\.py")[:8]) or "no .py file at the top"
    return BuildError(
        "No web app was found, so there is nothing to start.",
        details=f"There is no Procfile, and no Flask, FastAPI, Django or other known app object in: {looked}.",
        resolution="Add a file named Procfile with one line, for example “web: gunicorn app:app”, and deploy again.",
    )


def _servers(processes: tuple[ProcessSpec, ...], names: frozenset[str]) -> tuple[str, ...]:
    """Servers that a command uses but the app does not list."""
    commands = " ".join(process.command for process in processes)
    wanted: list[str] = []
    if "gunicorn" in commands and "gunicorn" not in names:
        wanted.append("gunicorn")
    if "uvicorn" in commands and not names & {"uvicorn", "fastapi[standard]"}:
        wanted += ["uvicorn", "websockets", "httptools"]
    return tuple(wanted)


def _django_steps() -> tuple[Step, ...]:
    return (
        Step(
            "Collecting static files",
            ("/app/.venv/bin/python", "/sitewright/inside/django_static.py"),
            advice="Run “python manage.py collectstatic” on your machine; when it works there with the same settings, deploy again.",
        ),
    )
