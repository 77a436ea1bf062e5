"""Python tools that are their own server: a script or some files for them, and they are started. Pure."""

from __future__ import annotations

import re

from sitewright.builder.packs.python.found import WebApp
from sitewright.builder.tree import Tree

_USUAL = ("streamlit_app.py", "app.py", "main.py", "Home.py", "home.py")
_ADDRESS = "--port $PORT --address 127.0.0.1"


def known_tool(tree: Tree, names: frozenset[str]) -> WebApp | None:
    """The tool's command, None when none of them is listed or it finds nothing to show. *names* are the listed requirements."""
    for find in (_datasette, _streamlit, _panel, _gradio, _pyramid, _jupyter):
        found = find(tree, names)
        if found is not None:
            return found
    return None


def _datasette(tree: Tree, names: frozenset[str]) -> WebApp | None:
    databases = tree.matching(r"[A-Za-z0-9_][\w.-]*\.(?:db|sqlite|sqlite3)")
    if "datasette" not in names or not databases:
        return None
    files = " ".join(f"-i {name}" for name in databases)
    return WebApp("Datasette", "command", f"exec datasette serve {files} --host 127.0.0.1 --port $PORT")


def _importing(tree: Tree, module: str) -> str:
    """The script at the top that imports *module*: a usual name, else the only one; "" when that is not clear."""
    scripts = [
        name
        for name in tree.matching(r"[A-Za-z0-9_][\w-]*\.py")
        if re.search(rf"^(?:import|from) {module}\b", tree.text(name), re.MULTILINE)
    ]
    return next((name for name in _USUAL if name in scripts), scripts[0] if len(scripts) == 1 else "")


def _streamlit(tree: Tree, names: frozenset[str]) -> WebApp | None:
    script = _importing(tree, "streamlit") if "streamlit" in names else ""
    if not script:
        return None
    options = "--server.port $PORT --server.address 127.0.0.1 --server.headless true --browser.gatherUsageStats false"
    return WebApp("Streamlit", "command", f"exec streamlit run {script} {options}")


def _panel(tree: Tree, names: frozenset[str]) -> WebApp | None:
    script = _importing(tree, "panel") if "panel" in names else ""
    notebooks = tree.matching(r"[A-Za-z0-9_][\w-]*\.ipynb") if "panel" in names else ()
    shown = script or (notebooks[0] if len(notebooks) == 1 else "")
    if not shown:
        return None
    return WebApp(
        "Panel",
        "command",
        f"exec panel serve {shown} {_ADDRESS} --allow-websocket-origin '*' --use-xheaders --index {shown.rsplit('.', 1)[0]}",
    )


def _gradio(tree: Tree, names: frozenset[str]) -> WebApp | None:
    script = _importing(tree, "gradio") if "gradio" in names else ""
    if not script:
        return None
    address = "GRADIO_SERVER_NAME=127.0.0.1 GRADIO_SERVER_PORT=$PORT GRADIO_ANALYTICS_ENABLED=False"
    return WebApp("Gradio", "command", f"exec env {address} python {script}")


def _pyramid(tree: Tree, _names: frozenset[str]) -> WebApp | None:
    if not tree.has("production.ini") or not re.search(r"^\[server:main\]", tree.text("production.ini"), re.MULTILINE):
        return None
    return WebApp("Pyramid", "command", "exec pserve production.ini")


def _jupyter(tree: Tree, names: frozenset[str]) -> WebApp | None:
    """Its files are in the channel's data, because releases are not written to; who may enter is Jupyter's own token, in the logs."""
    notebooks = tree.matching(r"[A-Za-z0-9_][\w-]*\.ipynb")
    if "voila" in names and notebooks:
        return WebApp(
            "Voilà", "command", f"exec voila {notebooks[0] if len(notebooks) == 1 else '.'} --no-browser --Voila.ip=127.0.0.1 --port=$PORT"
        )
    program = "lab" if "jupyterlab" in names else "notebook" if names & {"notebook", "jupyter"} else ""
    if not program:
        return None
    options = "--ip=127.0.0.1 --port=$PORT --no-browser --ServerApp.allow_remote_access=True --ServerApp.root_dir=/data"
    return WebApp("Jupyter", "command", f"exec jupyter {program} {options}")
