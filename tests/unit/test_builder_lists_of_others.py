"""What Poetry, Pipenv, pnpm and yarn say, as this builder uses it."""

from __future__ import annotations

import pytest

from sitewright.builder.packs.node.managers import package_manager
from sitewright.builder.packs.python.dependencies import is_package
from sitewright.builder.packs.python.others import poetry_requirements, specifier
from sitewright.builder.survey import decoded
from sitewright.builder.tree import Tree


def tree_of(files: dict[str, str]) -> Tree:
    return Tree(tuple(sorted(files)), files)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("^1.2.3", ">=1.2.3,<2"),
        ("^0.2.3", ">=0.2.3,<0.3"),
        ("^0.0.3", ">=0.0.3,<0.0.4"),
        ("^2", ">=2,<3"),
        ("~1.2.3", "~=1.2.3"),
        ("~1.2", "~=1.2.0"),
        ("~1", "==1.*"),
        ("*", ""),
        ("1.2.3", "==1.2.3"),
        (">=1.2,<3", ">=1.2,<3"),
    ],
)
def test_versions_are_read_as_poetry_means_them(written: str, read: str) -> None:
    assert specifier(written) == read


def test_poetrys_lock_file_decides_the_versions_and_optional_packages_stay_away() -> None:
    tree = tree_of(
        {
            "pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.11"\nFlask = "^3"\nrich = {version = "^13", optional = true}\n',
            "poetry.lock": '[[package]]\nname = "flask"\nversion = "3.0.3"\n',
        }
    )
    assert poetry_requirements(tree) == ("Flask==3.0.3",)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"pyproject.toml": '[project]\nname = "My-Shop"\n[build-system]\n', "my_shop/__init__.py": ""}, True),
        ({"pyproject.toml": '[project]\nname = "shop"\n[build-system]\n', "src/shop/__init__.py": ""}, True),
        ({"pyproject.toml": '[project]\nname = "shop"\n[build-system]\n', "app.py": ""}, False),
        ({"pyproject.toml": '[tool.poetry]\nname = "shop"\npackage-mode = false\n[build-system]\n', "shop/__init__.py": ""}, False),
        ({"pyproject.toml": '[project]\nname = "shop"\n', "shop/__init__.py": ""}, False),
    ],
)
def test_a_project_is_installed_itself_only_if_there_is_a_package(files: dict[str, str], expected: bool) -> None:
    assert is_package(tree_of(files)) is expected


@pytest.mark.parametrize(
    ("files", "declared", "name", "package"),
    [
        ({"package-lock.json": "{}", "yarn.lock": ""}, "", "npm", ""),
        ({}, "", "npm", ""),
        ({"pnpm-lock.yaml": "lockfileVersion: '9.0'\n"}, "", "pnpm", "pnpm@9"),
        ({"pnpm-lock.yaml": "lockfileVersion: '6.0'\n"}, "", "pnpm", "pnpm@8"),
        ({"pnpm-lock.yaml": "lockfileVersion: '9.0'\n"}, "pnpm@10.1.0+sha256.abc", "pnpm", "pnpm@10.1.0"),
        ({"yarn.lock": "# yarn lockfile v1\n"}, "", "yarn", "yarn@1.22.22"),
        ({"yarn.lock": "__metadata:\n  version: 8\n"}, "yarn@4.2.2", "yarn", "@yarnpkg/cli-dist@4.2.2"),
        ({"pnpm-lock.yaml": "lockfileVersion: '9.0'\n"}, "pnpm@9; rm -rf /", "pnpm", "pnpm@9"),
    ],
)
def test_the_lock_file_says_who_installs(files: dict[str, str], declared: str, name: str, package: str) -> None:
    manager = package_manager(tree_of(files), {"packageManager": declared})
    assert (manager.name, manager.package) == (name, package)


def test_texts_of_windows_are_read_and_remembered_as_foreign() -> None:
    text = decoded("flask\r\n".encode("utf-16"))
    tree = tree_of({"requirements.txt": text, "Procfile": decoded(b"\xef\xbb\xbfweb: x")})
    assert (tree.text("requirements.txt"), tree.is_foreign("requirements.txt")) == ("flask\r\n", True)
    assert (tree.text("Procfile"), tree.is_foreign("Procfile")) == ("web: x", False)
