"""Applications that nobody here wrote, built with the real package indexes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from uv import find_uv_bin

from sitewright.bus.messages import BuildStatus
from sitewright.domain.states import BuildState
from sitewright.system.processes import run_blocking
from sitewright.testing.workbench import Workbench, archive_of, running


async def built(workbench: Workbench, files: dict[str, str | bytes], **more: object) -> BuildStatus:
    status = await workbench.build(workbench.request(workbench.upload(archive_of(files)), **more))
    print(workbench.log(status))
    assert status.state is BuildState.SUCCEEDED, workbench.log(status)
    return status


async def test_datasette_shows_a_database_file(workbench: Workbench, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "books.db") as database:
        database.execute("create table book (title text)")
        database.execute("insert into book values ('Emma')")
    database.close()
    files: dict[str, str | bytes] = {"requirements.txt": "datasette\n", "books.db": (tmp_path / "books.db").read_bytes()}
    async with running(workbench, await built(workbench, files)) as client:
        assert (await client.get("/books/book.json?_shape=arrays")).json()["rows"] == [[1, "Emma"]]


async def test_a_project_with_a_build_system_is_installed_in_place(workbench: Workbench) -> None:
    files: dict[str, str | bytes] = {
        "pyproject.toml": """
            [build-system]
            requires = ["setuptools>=77"]
            build-backend = "setuptools.build_meta"
            [project]
            name = "shop"
            version = "1"
            dependencies = ["flask"]
            [tool.setuptools.packages.find]
            where = ["src"]
            """,
        "src/shop/__init__.py": "from flask import Flask\n\n\ndef create_app():\n    app = Flask(__name__)\n"
        "    app.add_url_rule('/', view_func=lambda: 'open')\n    return app\n",
    }
    async with running(workbench, await built(workbench, files)) as client:
        assert (await client.get("/")).text == "open"


async def test_a_project_without_a_build_system_installs_its_dependencies(workbench: Workbench) -> None:
    files: dict[str, str | bytes] = {
        "pyproject.toml": '[project]\nname = "x"\nversion = "0"\nrequires-python = ">=3.9"\ndependencies = ["starlette"]\n',
        "main.py": "from starlette.applications import Starlette\nfrom starlette.responses import PlainTextResponse\n"
        "from starlette.routing import Route\n\n\nasync def home(request):\n    return PlainTextResponse('hi')\n\n\n"
        "app = Starlette(routes=[Route('/', home)])\n",
    }
    async with running(workbench, await built(workbench, files)) as client:
        assert (await client.get("/")).text == "hi"


async def test_mkdocs_becomes_files_and_its_packages_are_not_part_of_the_release(workbench: Workbench) -> None:
    files: dict[str, str | bytes] = {"mkdocs.yml": "site_name: Handbook\n", "docs/index.md": "# Welcome\n", "docs/more.md": "# More\n"}
    status = await built(workbench, files)
    assert status.blueprint is not None
    assert (status.blueprint.static_root, status.blueprint.fallback) == ("site", "")
    assert "Welcome" in (workbench.release() / "site/index.html").read_text()
    assert not (workbench.release() / ".venv").exists()


async def test_a_node_server_without_dependencies_runs(workbench: Workbench) -> None:
    server = "require('http').createServer((q, s) => s.end('hello ' + process.env.NODE_ENV)).listen(process.env.PORT)"
    async with running(workbench, await built(workbench, {"package.json": json.dumps({"main": "app.js"}), "app.js": server})) as client:
        assert (await client.get("/")).text == "hello production"


async def test_a_plain_python_server_with_a_procfile_runs(workbench: Workbench) -> None:
    files: dict[str, str | bytes] = {
        "requirements.txt": "",
        "Procfile": "web: python -m http.server $PORT --directory pages",
        "pages/index.html": "<p>plain</p>",
    }
    async with running(workbench, await built(workbench, files)) as client:
        assert (await client.get("/")).text == "<p>plain</p>"


async def test_a_lock_file_decides_the_versions_and_leaves_development_packages_out(workbench: Workbench, tmp_path: Path) -> None:
    project = '[project]\nname = "x"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = ["itsdangerous<2.2", "flask"]\n'
    project += '[dependency-groups]\ndev = ["pytest"]\n'
    (tmp_path / "pyproject.toml").write_text(project)
    run_blocking((find_uv_bin(), "lock", "--quiet", "--project", str(tmp_path), "--python", "/usr/bin/python3"), timeout=60)
    files: dict[str, str | bytes] = {
        "pyproject.toml": project,
        "uv.lock": (tmp_path / "uv.lock").read_bytes(),
        "app.py": "from importlib.metadata import version\nfrom flask import Flask\n\napp = Flask(__name__)\n"
        "app.add_url_rule('/', view_func=lambda: version('itsdangerous'))\n",
    }
    async with running(workbench, await built(workbench, files)) as client:
        assert (await client.get("/")).text.startswith("2.1")
    assert not (workbench.release() / ".venv/bin/pytest").exists()
    again = await built(workbench, files, release=2)
    assert "unchanged" in workbench.log(again)


async def test_a_poetry_project_is_installed(workbench: Workbench) -> None:
    files: dict[str, str | bytes] = {
        "pyproject.toml": """
            [tool.poetry]
            name = "shop"
            version = "1"
            description = ""
            authors = []
            [tool.poetry.dependencies]
            python = ">=3.11"
            bottle = "*"
            [build-system]
            requires = ["poetry-core"]
            build-backend = "poetry.core.masonry.api"
            """,
        "shop/__init__.py": "",
        "shop/app.py": "from bottle import Bottle\n\napp = Bottle()\napp.route('/')(lambda: 'open')\n",
    }
    async with running(workbench, await built(workbench, files)) as client:
        assert (await client.get("/")).text == "open"
