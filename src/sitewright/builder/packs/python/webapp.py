"""Finding the web app in Python sources that bring no Procfile, by reading lines: nothing of the app is imported or executed. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sitewright.builder.tree import Tree
from sitewright.domain.processes import Listen, ProcessSpec

_WSGI = {"Flask": "Flask", "Bottle": "Bottle", "Falcon": "Falcon", "get_wsgi_application": "Django", "Dash": "Dash"}
_ASGI = {
    "FastAPI": "FastAPI",
    "Starlette": "Starlette",
    "Quart": "Quart",
    "Litestar": "Litestar",
    "get_asgi_application": "Django",
    "Blacksheep": "BlackSheep",
}
_ASSIGNMENT = re.compile(
    r"^(?P<name>[A-Za-z_]\w{0,60})\s{0,4}(?::[^=\n]{0,60})?=\s{0,4}(?:[A-Za-z_]\w{0,40}\.){0,3}(?P<maker>[A-Za-z_]\w{0,40})\(", re.MULTILINE
)
_SUB_SERVER = re.compile(r"^(?P<name>server|application)\s{0,4}=\s{0,4}\w{1,40}\.server\b", re.MULTILINE)
_FACTORY = re.compile(r"^(?P<async>async )?def (?P<name>create_app|make_app|create_application)\(", re.MULTILINE)
_MAIN = re.compile(r"^if __name__ ?== ?[\"']__main__[\"']", re.MULTILINE)
_DJANGO_SETTINGS = re.compile(r"DJANGO_SETTINGS_MODULE[\"'], ?[\"']([A-Za-z_][\w.]{0,200})[\"']")
_PREFERRED = ("app", "application", "wsgi", "main", "asgi", "server", "api", "web", "run", "index", "site")

GUNICORN = "exec env LISTEN_PID=$$ gunicorn --workers 1 --threads 8 --worker-class gthread --access-logfile - --forwarded-allow-ips '*'"
"""Takes descriptor 3 as systemd hands it over (LISTEN_FDS is set by the engine): unlike `--bind fd://3`, gunicorn then leaves the socket's
path alone when it stops, instead of failing on a path that is not there inside."""
UVICORN = "exec uvicorn --fd 3 --proxy-headers --forwarded-allow-ips '*'"


@dataclass(frozen=True, slots=True)
class WebApp:
    """An app object: ``target`` is `module:object`. ``kind`` is wsgi, asgi or command (then ``target`` is the command)."""

    framework: str
    kind: str
    target: str
    factory: bool = False

    def process(self) -> ProcessSpec:
        """The web process that serves it."""
        if self.kind == "command":
            return ProcessSpec(type="web", command=self.target, listen=Listen.PORT)
        if self.kind == "asgi":
            factory = " --factory" if self.factory else ""
            return ProcessSpec(type="web", command=f"{UVICORN}{factory} {self.target}", listen=Listen.FD)
        target = f"'{self.target}()'" if self.factory else self.target
        return ProcessSpec(type="web", command=f"{GUNICORN} {target}", listen=Listen.FD)


def find_web_app(tree: Tree, names: frozenset[str]) -> WebApp | None:
    """The app to serve, None when there is no clear one. *names* are the listed requirements, normalised."""
    return _django(tree, names) or _app_object(tree) or _known_tool(tree, names) or _script(tree)


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
            return WebApp("Django", kind, f"{_module(file)}:application")
    return None


def _app_object(tree: Tree) -> WebApp | None:
    files = sorted(tree.matching(r"(?:src/)?(?:[A-Za-z_]\w*/){0,2}[A-Za-z_]\w*\.py"), key=_preference)
    found = [app for app in (_in_file(tree, file) for file in files[:200]) if app is not None]
    plain = [app for app in found if not app.factory]
    return plain[0] if plain else found[0] if found else None


def _preference(file: str) -> tuple[int, int, str]:
    """Shallow files first, and among them those that are usually the entry."""
    stem = file.rsplit("/", 1)[-1].removesuffix(".py")
    rank = _PREFERRED.index(stem) if stem in _PREFERRED else 20 if stem == "__init__" else 50
    return (file.count("/"), 90 if "test" in stem or "/tests/" in f"/{file}" else rank, file)


def _in_file(tree: Tree, file: str) -> WebApp | None:
    text = tree.text(file)
    server = _SUB_SERVER.search(text)
    if server:
        return WebApp("Dash", "wsgi", f"{_module(file)}:{server['name']}")
    for match in _ASSIGNMENT.finditer(text):
        maker = match["maker"]
        if maker in _WSGI and not (maker == "Dash" and "server" not in text):
            return WebApp(_WSGI[maker], "wsgi", f"{_module(file)}:{match['name']}{'.server' if maker == 'Dash' else ''}")
        if maker in _ASGI:
            return WebApp(_ASGI[maker], "asgi", f"{_module(file)}:{match['name']}")
        if maker in ("create_app", "make_app", "create_application") and match["name"] in ("app", "application"):
            kind = "asgi" if re.search(r"\b(fastapi|starlette|quart|litestar|asgi)\b", text, re.IGNORECASE) else "wsgi"
            return WebApp("asgi app" if kind == "asgi" else "Flask", kind, f"{_module(file)}:{match['name']}")
    factory = _FACTORY.search(text)
    if factory:
        asgi = bool(factory["async"]) or bool(re.search(r"\b(FastAPI|Starlette|Quart|Litestar)\b", text))
        return WebApp("app factory", "asgi" if asgi else "wsgi", f"{_module(file)}:{factory['name']}", factory=True)
    return None


def _known_tool(tree: Tree, names: frozenset[str]) -> WebApp | None:
    databases = tree.matching(r"[A-Za-z0-9_][\w.-]*\.(?:db|sqlite|sqlite3)")
    if "datasette" in names and databases:
        files = " ".join(f"-i {name}" for name in databases)
        return WebApp("Datasette", "command", f"exec datasette serve {files} --host 127.0.0.1 --port $PORT")
    script = tree.first("streamlit_app.py", "app.py", "main.py")
    if "streamlit" in names and script:
        options = "--server.port $PORT --server.address 127.0.0.1 --server.headless true --browser.gatherUsageStats false"
        return WebApp("Streamlit", "command", f"exec streamlit run {script} {options}")
    return None


def _script(tree: Tree) -> WebApp | None:
    """A script that starts a server by itself."""
    for name in ("app.py", "main.py", "server.py", "run.py"):
        text = tree.text(name)
        if _MAIN.search(text) or "serve_forever" in text or "run_app(" in text:
            return WebApp("script", "command", f"exec python {name}")
    return None


def _module(file: str) -> str:
    return file.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
