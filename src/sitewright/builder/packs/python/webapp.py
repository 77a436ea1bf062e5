"""Finding the web app in Python sources that bring no Procfile, by reading lines: nothing of the app is imported or executed. Pure."""

from __future__ import annotations

import re
from dataclasses import replace

from sitewright.builder.packs.python.found import WebApp
from sitewright.builder.packs.python.tools import known_tool
from sitewright.builder.tree import Tree

_WSGI = {"Flask": "Flask", "Bottle": "Bottle", "get_wsgi_application": "Django", "Dash": "Dash", "falcon.App": "Falcon"}
_ASGI = {
    "FastAPI": "FastAPI",
    "Starlette": "Starlette",
    "Quart": "Quart",
    "Litestar": "Litestar",
    "Sanic": "Sanic",
    "get_asgi_application": "Django",
    "Blacksheep": "BlackSheep",
    "falcon.asgi.App": "Falcon",
}
_AIOHTTP = "web.Application"
_ASSIGNMENT = re.compile(
    r"^(?P<name>[A-Za-z_]\w{0,60})\s{0,4}(?::[^=\n]{0,60})?=\s{0,4}(?P<path>(?:[A-Za-z_]\w{0,40}\.){0,3})(?P<maker>[A-Za-z_]\w{0,40})\(",
    re.MULTILINE,
)
_SUB_SERVER = re.compile(r"^(?P<name>server|application)\s{0,4}=\s{0,4}\w{1,40}\.server\b", re.MULTILINE)
_FACTORY = re.compile(r"^(?P<async>async )?def (?P<name>create_app|make_app|create_application)\(", re.MULTILINE)
_MAIN = re.compile(r"^if __name__ ?(?:==|in) ?[{(]?[\"']__main__[\"']", re.MULTILINE)
_STARTS_BY_ITSELF = re.compile(
    r"serve_forever\(|run_app\(|\.quickstart\(|\.launch\(|^\s*ui\.run\(|^\s*(?:\w+\.)?run\([^\n]{0,200}port ?="
    r"|^from bottle import[^\n]*\brun\b",
    re.MULTILINE,
)
_USUAL_SCRIPTS = ("app.py", "main.py", "server.py", "run.py", "index.py", "web.py", "wsgi.py", "hello.py")
_DJANGO_SETTINGS = re.compile(r"DJANGO_SETTINGS_MODULE[\"'], ?[\"']([A-Za-z_][\w.]{0,200})[\"']")
_PREFERRED = ("app", "application", "wsgi", "main", "asgi", "server", "api", "web", "run", "index", "site")


def find_web_app(tree: Tree, names: frozenset[str]) -> WebApp | None:
    """The app to serve, None when there is no clear one. *names* are the listed requirements, normalised."""
    app = _django(tree, names) or _app_object(tree)
    if app is not None and "flask-socketio" in names:
        app = replace(app, sockets=True)
    return app or known_tool(tree, names) or _script(tree)


def _django(tree: Tree, names: frozenset[str]) -> WebApp | None:
    if not tree.has("manage.py"):
        return None
    match = _DJANGO_SETTINGS.search(tree.text("manage.py"))
    package = match[1].split(".settings")[0].split(".")[0] if match else ""
    asgi = bool(names & {"channels", "daphne"})
    for kind in ("asgi", "wsgi") if asgi else ("wsgi", "asgi"):
        candidates = (f"{package}/{kind}.py", *tree.matching(rf"[^/]+/{kind}\.py"), f"{kind}.py")
        file = next((name for name in candidates if tree.has(name)), "")
        if file:
            return WebApp("Django", kind, f"{_module(tree, file)}:application")
    return None


def _app_object(tree: Tree) -> WebApp | None:
    files = sorted(tree.matching(r"(?:src/)?(?:[A-Za-z_]\w*/){0,2}[A-Za-z_]\w*\.py"), key=_preference)
    found = [app for app in (_in_file(tree, file) for file in files[:200]) if app is not None]
    plain = [app for app in found if not app.factory]
    return plain[0] if plain else found[0] if found else None


def _placed(tree: Tree, file: str) -> tuple[str, str]:
    """(module, folder to start in): a file in a folder that is no package imports its neighbours by their bare names."""
    folder, _, name = file.rpartition("/")
    text = tree.text(file)
    plain_folder = folder and "/" not in folder and not tree.has(f"{folder}/__init__.py")
    if plain_folder and folder != "src" and name != "__init__.py" and not re.search(rf"^(?:from|import) {folder}\b", text, re.MULTILINE):
        return name.removesuffix(".py"), folder
    return _module(tree, file), ""


def _preference(file: str) -> tuple[int, int, str]:
    """Shallow files first, and among them those that are usually the entry."""
    stem = file.rsplit("/", 1)[-1].removesuffix(".py")
    rank = _PREFERRED.index(stem) if stem in _PREFERRED else 20 if stem == "__init__" else 50
    return (file.count("/"), 90 if "test" in stem or "/tests/" in f"/{file}" else rank, file)


def _in_file(tree: Tree, file: str) -> WebApp | None:
    text = tree.text(file)
    module, folder = _placed(tree, file)
    server = _SUB_SERVER.search(text)
    if server:
        return WebApp("Dash", "wsgi", f"{module}:{server['name']}", folder=folder)
    for match in _ASSIGNMENT.finditer(text):
        found = _made(match, text)
        if found is not None:
            framework, kind, suffix = found
            return WebApp(framework, kind, f"{module}:{match['name']}{suffix}", folder=folder)
    factory = _FACTORY.search(text)
    if factory and "tornado" not in text:
        if "aiohttp" in text:
            return WebApp("aiohttp", "aiohttp", f"{module}:{factory['name']}", factory=not factory["async"], folder=folder)
        asgi = bool(factory["async"]) or bool(re.search(r"\b(FastAPI|Starlette|Quart|Litestar)\b", text))
        return WebApp("app factory", "asgi" if asgi else "wsgi", f"{module}:{factory['name']}", factory=True, folder=folder)
    return None


def _made(match: re.Match[str], text: str) -> tuple[str, str, str] | None:
    """What an assignment makes: (framework, kind, what follows the name), None when it is no web app."""
    path, maker = match["path"] + match["maker"], match["maker"]
    if path == _AIOHTTP and "aiohttp" in text:
        return "aiohttp", "aiohttp", ""
    known = path if path in _WSGI or path in _ASGI else maker
    if known == "Dash":
        return "Dash", "wsgi", ".server"
    if known in _WSGI:
        return _WSGI[known], "wsgi", ""
    if known in _ASGI:
        return _ASGI[known], "asgi", ""
    if maker in ("create_app", "make_app", "create_application") and match["name"] in ("app", "application"):
        asgi = re.search(r"\b(fastapi|starlette|quart|litestar|asgi)\b", text, re.IGNORECASE)
        return ("asgi app", "asgi", "") if asgi else ("Flask", "wsgi", "")
    return None


def _script(tree: Tree) -> WebApp | None:
    """A script that starts a server by itself: a usual name, or the only one at the top."""
    scripts = tree.matching(r"[A-Za-z0-9_][\w-]*\.py")
    for name in (*_USUAL_SCRIPTS, *(scripts if len(scripts) == 1 else ())):
        text = tree.text(name)
        if name in scripts and (_MAIN.search(text) or _STARTS_BY_ITSELF.search(text)):
            return WebApp("script", "command", f"exec python {name}")
    return None


def _module(tree: Tree, file: str) -> str:
    inside = file if tree.has("src/__init__.py") else file.removeprefix("src/")
    return inside.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
