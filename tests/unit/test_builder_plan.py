"""From a pack's wishes to steps, and from a built tree to what runs."""

from __future__ import annotations

import pytest

from sitewright.builder.detect import detect
from sitewright.builder.packs.base import PackPlan, Toolchain
from sitewright.builder.plan import Situation, make_blueprint, make_plan
from sitewright.builder.tree import Tree
from sitewright.errors import BuildError

TOOLS = Toolchain(python="Python 3.11.2", node="v20.1.0")


def pack_of(files: dict[str, str], toolchain: Toolchain = TOOLS) -> PackPlan:
    return detect(Tree(tuple(sorted(files)), files), toolchain)


FLASK = {"requirements.txt": "flask==3.1.0\n", "app.py": "app = Flask(__name__)\n"}


def fingerprint(files: dict[str, str], toolchain: Toolchain = TOOLS) -> str:
    return pack_of(files, toolchain).installs[0].fingerprint


def test_dependencies_are_installed_and_kept_the_first_time() -> None:
    titles = [step.title for step in make_plan(pack_of(FLASK), Situation()).steps]
    assert titles == [
        "Making a virtual environment",
        "Installing what requirements.txt lists",
        "Keeping Python packages for the next build",
    ]


def test_unchanged_dependencies_are_taken_from_the_cache() -> None:
    plan = make_plan(pack_of(FLASK), Situation(kept=frozenset({fingerprint(FLASK)})))
    assert [step.argv[0] for step in plan.steps] == ["/usr/bin/tar"]
    assert plan.restored == {plan.steps[0].title}
    assert not any(step.network for step in plan.steps)


def test_dependencies_that_are_in_the_live_folder_are_left_alone() -> None:
    assert make_plan(pack_of(FLASK), Situation(present=frozenset({fingerprint(FLASK)}))).steps == ()


def test_the_fingerprint_follows_dependencies_and_python_but_not_the_code() -> None:
    same = {**FLASK, "app.py": "app = Flask(__name__)\n# changed\n"}
    assert fingerprint(same) == fingerprint(FLASK)
    assert fingerprint({**FLASK, "requirements.txt": "flask==3.0.0\n"}) != fingerprint(FLASK)
    assert fingerprint(FLASK, Toolchain(python="Python 3.12.0")) != fingerprint(FLASK)


def test_included_requirement_files_are_part_of_the_fingerprint() -> None:
    one = {"requirements.txt": "-r more.txt\n", "more.txt": "flask==3.1.0\n", "app.py": FLASK["app.py"]}
    assert fingerprint(one) != fingerprint({**one, "more.txt": "flask==3.0.0\n"})


@pytest.mark.parametrize("line", ["-e .", "./vendor/thing", ".", "thing @ file:vendor/thing", "file:vendor/x.whl", "-r missing.txt"])
def test_dependencies_on_local_files_are_installed_each_time(line: str) -> None:
    pack = pack_of({**FLASK, "requirements.txt": f"flask\n{line}\n"})
    assert pack.installs[0].fingerprint == ""
    assert "Keeping" not in make_plan(pack, Situation(kept=frozenset({""}))).steps[-1].title


def test_node_packages_with_local_dependencies_are_installed_each_time() -> None:
    pack = pack_of({"package.json": '{"scripts": {"start": "node a.js"}, "dependencies": {"b": "file:../b"}}'})
    assert pack.installs[0].fingerprint == ""


VITE = {"package.json": '{"scripts": {"build": "vite build"}, "devDependencies": {"vite": "^6"}}'}


def built(*files: str) -> Tree:
    return Tree(tuple(sorted(files)), {})


def test_a_front_end_with_one_page_falls_back_to_it() -> None:
    blueprint = make_blueprint(pack_of(VITE), built("dist/index.html", "dist/assets/a.js"), "host")
    assert (blueprint.static_root, blueprint.fallback, blueprint.is_static) == ("dist", "index.html", True)


def test_a_front_end_with_several_pages_has_no_fallback() -> None:
    assert make_blueprint(pack_of(VITE), built("build/index.html", "build/404.html"), "host").fallback == ""


def test_a_build_that_makes_no_page_says_where_it_looked() -> None:
    with pytest.raises(BuildError) as caught:
        make_blueprint(pack_of(VITE), built("src/main.js"), "host")
    assert "dist" in caught.value.details


def test_a_procfile_without_a_web_process_says_what_to_add() -> None:
    pack = pack_of({**FLASK, "Procfile": "worker: python work.py"})
    with pytest.raises(BuildError, match="no web process"):
        make_blueprint(pack, built("app.py"), "host")


@pytest.mark.parametrize("required", [">=3.99", "<3.10", "==3.10.*", "~=3.12", ">=3.10,<3.11", "<=3.9", ">=4"])
def test_a_project_for_another_python_is_refused_in_words(required: str) -> None:
    with pytest.raises(BuildError, match=r"this platform has 3\.11"):
        pack_of({"pyproject.toml": f'[project]\nname = "x"\nrequires-python = "{required}"\n', "app.py": FLASK["app.py"]})


@pytest.mark.parametrize("required", [">=3.9", ">=3.11.1,<4", "==3.11.*", "~=3.8", "<3.12", "!=3.10", ">3.10", "<=3.11", "", "==3.*"])
def test_a_project_for_this_python_is_built(required: str) -> None:
    assert pack_of({"pyproject.toml": f'[project]\nname = "x"\nrequires-python = "{required}"\n', "app.py": FLASK["app.py"]}).installs


def test_a_front_end_that_makes_its_own_server_is_started() -> None:
    blueprint = make_blueprint(pack_of(VITE), built("build/index.js", "build/client/a.js"), "host")
    web = blueprint.process("web")
    assert web is not None
    assert web.command == "exec node build/index.js"
    assert not blueprint.is_static
    assert ("NODE_ENV", "production") in blueprint.env
