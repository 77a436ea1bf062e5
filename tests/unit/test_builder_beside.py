"""Which places beside the code an app writes to, as its sources show it."""

from __future__ import annotations

import pytest

from sitewright.builder.beside import places, with_places
from sitewright.builder.packs.base import PackPlan
from sitewright.builder.tree import Tree
from sitewright.domain.processes import ProcessSpec


def tree_of(files: dict[str, str]) -> Tree:
    return Tree(tuple(sorted(files)), files)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"config/settings.py": "'NAME': BASE_DIR / 'db.sqlite3',"}, (("config/db.sqlite3", "db.sqlite3"), ())),
        ({"app.py": "sqlite3.connect('database.db')"}, (("database.db",), ())),
        ({"app.py": "create_engine('sqlite:///./shop.db?timeout=5')"}, (("shop.db",), ())),
        ({"app.py": "sqlite3.connect('/data/shop.db')"}, ((), ())),
        ({"app.py": "sqlite3.connect('../shop.db')"}, ((), ())),
        ({"app.py": "os.makedirs(app.instance_path)"}, ((), ("instance",))),
        ({"src/shop/__init__.py": "os.makedirs(app.instance_path)"}, ((), ("src/instance",))),
        ({"app.py": "open('visits.txt', 'a')"}, (("visits.txt",), ())),
        ({"app.py": "open('visits.txt')"}, ((), ())),
        ({"server.js": "fs.writeFileSync('./notes.json', text)"}, (("notes.json",), ())),
        ({"index.php": "new PDO('sqlite:' . __DIR__ . '/guests.sqlite')"}, (("guests.sqlite",), ())),
        ({"app.py": "UPLOAD_FOLDER = 'static/uploads/'"}, ((), ("static/uploads",))),
        ({"app.py": "x", "media/cat.png": ""}, ((), ("media",))),
        ({"app.py": "'data/shop.db'"}, ((), ("data",))),
        ({"app.py": "'data/shop.db'", "data/prices.csv": ""}, (("data/shop.db",), ())),
        ({"index.php": "", "data/pages/start.txt": "", "tmp/clean.php": ""}, ((), ("data",))),
        ({"app.py": "x", "guests.db": ""}, (("guests.db",), ())),
    ],
)
def test_places_that_the_sources_show(files: dict[str, str], expected: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    assert places(tree_of(files)) == expected


def test_a_package_called_media_is_code() -> None:
    assert places(tree_of({"media/models.py": "x", "settings.py": "'media'"})) == ((), ())


def test_tests_and_fixtures_name_no_places() -> None:
    assert places(tree_of({"tests/test_shop.py": "open('out.txt', 'w')", "tests/fixtures/old.db": ""})) == ((), ())


def test_databases_that_datasette_publishes_stay_in_the_release() -> None:
    assert places(tree_of({"requirements.txt": "datasette\n", "birds.db": ""})) == ((), ())


def test_every_process_fills_the_places_before_it_starts() -> None:
    plan = PackPlan("python", "Python app", processes=(ProcessSpec("web", "exec python app.py"), ProcessSpec("release", "python a.py")))
    changed = with_places(plan, tree_of({"app.py": "sqlite3.connect('database.db')"}))
    assert [process.command for process in changed.processes] == [
        "sh /app/.sitewright/beside.sh; exec python app.py",
        "sh /app/.sitewright/beside.sh; python a.py",
    ]
    assert "database.db" in changed.steps[-1].title
    assert [process.own_words for process in changed.processes] == [process.own_words for process in plan.processes], (
        "as its owner wrote it"
    )


def test_a_site_without_processes_and_an_app_without_places_are_left_alone() -> None:
    static, app = PackPlan("static", "static site"), PackPlan("python", "app", processes=(ProcessSpec("web", "x"),))
    assert with_places(static, tree_of({"guests.db": ""})) is static
    assert with_places(app, tree_of({"app.py": "print()"})) is app


def test_an_app_whose_links_are_made_first_is_not_begun_as_a_copy_of_a_warm_parent() -> None:
    web = ProcessSpec("web", "gunicorn app:app", warm=("gunicorn", "app:app"))
    (changed,) = with_places(
        PackPlan("python", "Python app", processes=(web,)), tree_of({"app.py": "sqlite3.connect('database.db')"})
    ).processes
    assert changed.warm == ()
