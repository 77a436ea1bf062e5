"""What kind of site a tree is, and how it will be started."""

from __future__ import annotations

import pytest

from sitewright.builder.detect import detect
from sitewright.builder.packs.base import PackPlan, Toolchain
from sitewright.builder.tree import Tree
from sitewright.domain.processes import Listen, ProcessSpec
from sitewright.errors import BuildError

TOOLS = Toolchain(python="Python 3.11.2", node="v20.1.0", php="8.2")


def tree_of(files: dict[str, str]) -> Tree:
    return Tree(tuple(sorted(files)), files)


def found(files: dict[str, str]) -> PackPlan:
    return detect(tree_of(files), TOOLS)


def web(files: dict[str, str]) -> ProcessSpec:
    return next(process for process in found(files).processes if process.type == "web")


@pytest.mark.parametrize(
    ("files", "root"),
    [
        ({"index.html": ""}, ""),
        ({"public/index.html": "", "README.md": ""}, "public"),
        ({"dist/index.html": ""}, "dist"),
        ({"handbook/index.html": "", "notes.txt": ""}, "handbook"),
        ({"index.html": "", "package.json": '{"name": "just-a-name"}'}, ""),
    ],
)
def test_html_is_served_from_where_it_is(files: dict[str, str], root: str) -> None:
    plan = found(files)
    assert (plan.pack, plan.static_root, plan.processes) == ("static", root, ())


@pytest.mark.parametrize(
    ("files", "target"),
    [
        ({"app.py": "from flask import Flask\napp = Flask(__name__)\n"}, "app:app"),
        ({"wsgi.py": "import flask\napplication = flask.Flask(__name__)\n"}, "wsgi:application"),
        ({"main.py": "app: Flask = Flask('x')"}, "main:app"),
        ({"shop/__init__.py": "def create_app():\n    app = Flask(__name__)\n    return app\n"}, "'shop:create_app()'"),
        (
            {"app.py": "from shop import create_app\napp = create_app()\n", "shop/__init__.py": "def create_app(config=None):\n    pass"},
            "app:app",
        ),
        ({"src/shop/app.py": "app = Flask(__name__)"}, "shop.app:app"),
        ({"app.py": "import dash\napp = dash.Dash(__name__)\nserver = app.server\n"}, "app:server"),
        ({"test_app.py": "app = Flask('test')", "service.py": "web = Flask('x')"}, "service:web"),
        ({"app.py": "app = Bottle()"}, "app:app"),
    ],
)
def test_a_wsgi_app_is_served_by_gunicorn_on_the_inherited_socket(files: dict[str, str], target: str) -> None:
    process = web({"requirements.txt": "flask\n", **files})
    assert process.listen is Listen.FD
    assert process.command.startswith("exec env LISTEN_PID=$$ gunicorn ")
    assert process.command.endswith(f" {target}")


@pytest.mark.parametrize(
    ("files", "end"),
    [
        ({"main.py": "from fastapi import FastAPI\napp = FastAPI(title='x')"}, " main:app"),
        ({"app/main.py": "api = fastapi.FastAPI()", "app/__init__.py": ""}, " app.main:api"),
        ({"site.py": "application = Starlette(routes=[])"}, " site:application"),
        ({"app.py": "from quart import Quart\napp = Quart(__name__)"}, " app:app"),
        ({"app.py": "from fastapi import FastAPI\ndef create_app():\n    return FastAPI()"}, " --factory app:create_app"),
    ],
)
def test_an_asgi_app_is_served_by_uvicorn_on_the_inherited_socket(files: dict[str, str], end: str) -> None:
    process = web({"requirements.txt": "fastapi\n", **files})
    assert process.listen is Listen.FD
    assert process.command.startswith("exec uvicorn --fd 3 ")
    assert process.command.endswith(end)


DJANGO = {
    "manage.py": 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings.production")',
    "shop/wsgi.py": "application = get_wsgi_application()",
    "shop/asgi.py": "application = get_asgi_application()",
    "requirements.txt": "django",
}


def test_django_gets_gunicorn_migrations_and_collected_static_files() -> None:
    plan = found(DJANGO)
    assert web(DJANGO).command.endswith(" shop.wsgi:application")
    assert [process.command for process in plan.processes if process.type == "release"] == ["python manage.py migrate --noinput"]
    assert plan.static_root == ".sitewright/public"
    assert any("django_static" in " ".join(step.argv) for step in plan.steps)


def test_django_with_channels_is_served_as_asgi() -> None:
    assert web({**DJANGO, "requirements.txt": "django\nChannels[daphne]>=4\n"}).command.endswith(" shop.asgi:application")


def test_servers_that_the_app_does_not_list_are_added() -> None:
    flask = {"app.py": "app = Flask(__name__)"}
    assert "gunicorn" in found({"requirements.txt": "flask", **flask}).installs[0].steps[-1].argv
    assert "gunicorn" not in found({"requirements.txt": "flask\ngunicorn==23.0", **flask}).installs[0].steps[-1].argv


def test_datasette_serves_the_database_files_it_finds() -> None:
    process = web({"requirements.txt": "datasette", "books.db": "", "more.sqlite": ""})
    assert process.command == "exec datasette serve -i books.db -i more.sqlite --host 127.0.0.1 --port $PORT"
    assert process.listen is Listen.PORT


def test_a_database_with_a_hostile_name_reaches_no_command() -> None:
    with pytest.raises(BuildError):
        found({"requirements.txt": "datasette", "a;reboot.db": "", "$(reboot).db": ""})


def test_streamlit_is_started_on_the_port() -> None:
    assert "streamlit run app.py --server.port $PORT" in web({"requirements.txt": "streamlit", "app.py": "import streamlit as st"}).command


def test_the_procfile_has_the_last_word() -> None:
    files = {"requirements.txt": "flask", "app.py": "app = Flask(__name__)", "Procfile": "web: python app.py\nworker: python work.py\n"}
    plan = found(files)
    assert [(process.type, process.command, process.listen) for process in plan.processes] == [
        ("web", "python app.py", Listen.PORT),
        ("worker", "python work.py", Listen.NONE),
    ]


def test_a_python_tree_without_an_app_says_what_to_add() -> None:
    with pytest.raises(BuildError) as caught:
        found({"requirements.txt": "requests", "script.py": "print(1)"})
    assert "script.py" in caught.value.details
    assert "Procfile" in caught.value.resolution


def package(**parts: object) -> dict[str, str]:
    import json

    return {"package.json": json.dumps(parts)}


def test_a_start_script_makes_a_node_app() -> None:
    plan = found({**package(scripts={"start": "node server.js"}, dependencies={"express": "^5"}), "server.js": ""})
    assert plan.pack == "node"
    assert plan.processes[0].command == "npm_lifecycle_event=start exec node server.js"
    assert plan.processes[0].adopts
    assert plan.installs[0].steps[0].argv[1] == "install"


def test_a_start_script_that_only_runs_node_needs_no_npm() -> None:
    named = web(package(name="shop", version="1.2.3", scripts={"start": "NODE_ENV=production  node --trace-warnings src/a.js --port=1"}))
    told = "npm_lifecycle_event=start npm_package_name=shop npm_package_version=1.2.3"
    assert named.command == f"{told} NODE_ENV=production exec node --trace-warnings src/a.js --port=1"
    assert named.adopts


@pytest.mark.parametrize(
    "parts",
    [
        {"scripts": {"start": "node a.js && node b.js"}},
        {"scripts": {"start": "node *.js"}},
        {"scripts": {"start": "next start"}},
        {"scripts": {"start": "node a.js", "prestart": "node build.js"}},
        {"scripts": {"start": "node a.js"}, "config": {"port": "8080"}},
    ],
)
def test_a_start_script_that_does_more_is_left_to_npm(parts: dict[str, object]) -> None:
    found_web = web(package(**parts))
    assert found_web.command == "exec npm run --silent start"
    assert not found_web.adopts


def test_settings_of_npm_leave_the_start_to_npm() -> None:
    assert web({**package(scripts={"start": "node a.js"}), ".npmrc": "node-options=--no-warnings"}).command == "exec npm run --silent start"


def test_a_lock_file_is_followed_exactly() -> None:
    plan = found({**package(scripts={"start": "node a.js"}, dependencies={"express": "^5"}), "package-lock.json": "{}"})
    assert plan.installs[0].steps[0].argv[1] == "ci"


@pytest.mark.parametrize("start", ["", "vite", "vite dev", "react-scripts start", "ng serve"])
def test_a_build_script_without_a_production_start_makes_files(start: str) -> None:
    scripts = {"build": "vite build", **({"start": start} if start else {})}
    plan = found(package(scripts=scripts, devDependencies={"vite": "^6"}))
    assert (plan.pack, plan.processes) == ("node-static", ())
    assert plan.layout is not None
    assert plan.layout.spa
    assert plan.dropped == ("node_modules",)


def test_a_server_file_is_enough() -> None:
    assert web({"server.js": "http.createServer()"}).command == "exec node server.js"
    assert web({**package(dependencies={}), "index.js": ""}).command == "exec node index.js"


def test_a_package_json_with_nothing_to_start_says_what_to_add() -> None:
    with pytest.raises(BuildError, match="neither a start script nor a build script"):
        found(package(name="x"))


def test_broken_json_names_the_file_and_the_line() -> None:
    with pytest.raises(BuildError) as caught:
        found({"package.json": '{"name": "x",\n}'})
    assert caught.value.message == "package.json is not valid JSON."
    assert "line 2" in caught.value.details


def test_deeply_nested_json_is_an_error_and_not_a_crash() -> None:
    with pytest.raises(BuildError):
        found({"package.json": '{"a":' + "[" * 100_000})


@pytest.mark.parametrize(("files", "root"), [({"index.php": ""}, ""), ({"public/index.php": "", "composer.json": "{}"}, "public")])
def test_php_is_run_by_php_fpm(files: dict[str, str], root: str) -> None:
    plan = found(files)
    assert (plan.pack, plan.static_root) == ("php", root)
    assert web(files).listen is Listen.FASTCGI
    assert web(files).command == "exec /usr/sbin/php-fpm8.2 --nodaemonize --fpm-config /app/.sitewright/php-fpm.conf"


def test_mkdocs_is_built_into_its_site_folder() -> None:
    plan = found({"mkdocs.yml": "site_name: Handbook\nsite_dir: out\n", "docs/index.md": "# Hi"})
    assert plan.layout is not None
    assert plan.layout.candidates == ("out",)
    assert any("mkdocs<2" in step.argv for step in plan.installs[0].steps)


def test_a_site_dir_that_climbs_out_is_not_followed() -> None:
    plan = found({"mkdocs.yml": "site_dir: ../../etc\n"})
    assert plan.layout is not None
    assert plan.layout.candidates == ("site",)


def test_a_lone_procfile_runs() -> None:
    assert web({"Procfile": "web: ./server --port $PORT", "server": ""}).listen is Listen.PORT


def test_an_unknown_tree_lists_what_was_found_and_what_to_add() -> None:
    with pytest.raises(BuildError) as caught:
        found({"notes/a.md": "", "todo.md": ""})
    assert caught.value.details == "Found: notes/, todo.md."
    assert "requirements.txt" in caught.value.resolution


def test_an_empty_tree_says_so() -> None:
    with pytest.raises(BuildError, match="empty"):
        found({})


def test_a_pipfile_is_installed_with_the_versions_of_its_lock_file() -> None:
    plan = found(
        {
            "Pipfile": '[packages]\nFlask = "*"\nrequests = {version = "~=2.31", extras = ["socks"]}\n',
            "Pipfile.lock": '{"default": {"flask": {"version": "==3.0.3"}}}',
            "app.py": "app = Flask(__name__)",
        }
    )
    assert plan.installs[0].steps[-1].argv[-3:] == ("Flask==3.0.3", "requests[socks]~=2.31", "gunicorn")


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"requirements.txt": "falcon", "things.py": "app = falcon.App()"}, "gthread"),
        ({"requirements.txt": "falcon", "things.py": "app = falcon.asgi.App()"}, "uvicorn"),
        ({"requirements.txt": "sanic", "server.py": "app = Sanic('x')"}, "uvicorn"),
        ({"requirements.txt": "aiohttp", "main.py": "from aiohttp import web\napp = web.Application()"}, "aiohttp.GunicornWebWorker"),
        (
            {"requirements.txt": "tornado", "main.py": "import tornado\ndef make_app():\n  pass\nif __name__ == '__main__':"},
            "python main.py",
        ),
        ({"requirements.txt": "bottle", "hello.py": "from bottle import route, run\nrun(port=8080)"}, "python hello.py"),
        ({"requirements.txt": "nicegui", "main.py": "from nicegui import ui\nui.run()"}, "python main.py"),
        ({"requirements.txt": "cherrypy", "tut01.py": "cherrypy.quickstart(Root())"}, "python tut01.py"),
        ({"requirements.txt": "panel", "dash.py": "import panel as pn"}, "panel serve dash.py"),
        ({"requirements.txt": "gradio", "app.py": "import gradio as gr"}, "GRADIO_SERVER_PORT=$PORT"),
        ({"requirements.txt": "streamlit", "Hello.py": "import streamlit as st"}, "streamlit run Hello.py"),
        ({"requirements.txt": "flask-socketio", "app.py": "app = Flask(__name__)"}, "--threads 100"),
        ({"requirements.txt": "flask", "backend/app.py": "from models import db\napp = Flask(__name__)"}, "cd backend && exec"),
        ({"requirements.txt": "jupyterlab", "one.ipynb": ""}, "jupyter lab"),
        ({"Procfile": "web: python -m http.server $PORT\n", "hello.txt": ""}, "python -m http.server"),
    ],
)
def test_python_servers_of_many_kinds_are_started(files: dict[str, str], command: str) -> None:
    assert command in web(files).command


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"package.json": '{"scripts": {"build": "nest build", "start": "nest start", "start:prod": "node dist/main"}}'}, "start:prod"),
        ({"package.json": '{"main": "service.js"}', "service.js": ""}, "node service.js"),
    ],
)
def test_node_apps_are_started_as_their_package_says(files: dict[str, str], command: str) -> None:
    assert command in web(files).command


@pytest.mark.parametrize(
    "files",
    [
        {"package.json": '{"scripts": {"build": "astro build", "start": "astro dev"}}'},
        {"package.json": '{"scripts": {"build": "eleventy", "start": "eleventy --serve"}}'},
        {"package.json": '{"scripts": {"docs:build": "vitepress build", "docs:dev": "vitepress dev"}}'},
        {"package.json": '{"devDependencies": {"@11ty/eleventy": "^2"}}'},
    ],
)
def test_a_development_server_is_not_what_visitors_get(files: dict[str, str]) -> None:
    assert found(files).pack == "node-static"


@pytest.mark.parametrize("page", ["INDEX.HTML", "holiday.html", "Default.htm"])
def test_the_only_page_is_the_first(page: str) -> None:
    assert found({page: ""}).steps[0].argv[-2:] == (page, "index.html")


def test_of_several_pages_none_is_chosen() -> None:
    with pytest.raises(BuildError, match=r"There is no index\.html"):
        found({"a.html": "", "b.html": ""})


def test_documentation_generators_make_pages() -> None:
    assert found({"docs/conf.py": "project = 'x'", "docs/index.rst": ""}).pack == "sphinx"
    assert found({"pelicanconf.py": "SITENAME = 'x'"}).pack == "pelican"


def test_a_program_in_a_procfile_is_made_executable() -> None:
    assert found({"Procfile": "web: ./server --port $PORT\n", "server": ""}).steps[0].argv[-1] == "server"


def test_a_committed_vendor_folder_is_used_as_it_is() -> None:
    files = {"composer.json": '{"require": {"slim/slim": "^4"}}', "public/index.php": ""}
    assert "composer" in found(files).needs
    assert "composer" not in found({**files, "vendor/autoload.php": ""}).needs
