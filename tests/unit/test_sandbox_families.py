"""Which warm parent fits a site's files."""

import os
from pathlib import Path

import pytest

from sitewright.domain.limits import Limits
from sitewright.domain.processes import Listen
from sitewright.engines.base import InstanceSpec, Mount, Sandboxed
from sitewright.engines.sandbox import families
from sitewright.engines.sandbox.families import family_of


def spec(tree):
    box = Sandboxed(uid=1, command="gunicorn app:app", env=(), mounts=(Mount(tree, "/app"),), limits=Limits())
    return InstanceSpec("i", "c", "s", "web", "d", "r", box, Listen.FD, Path("/s"), warm=("gunicorn", "app:app"))


@pytest.fixture
def packages(tmp_path):
    found = tmp_path / ".venv/lib/python3.11/site-packages"
    found.mkdir(parents=True)
    return found


@pytest.mark.parametrize("framework", ["django", "flask", "fastapi", "starlette"])
def test_the_framework_in_its_environment_decides(tmp_path, packages, framework):
    (packages / framework).mkdir()
    assert family_of(spec(tmp_path)) == families.FAMILIES[f"gunicorn-{framework}"]


def test_without_a_framework_it_is_the_servers_own_and_without_an_environment_none(tmp_path, packages):
    assert family_of(spec(tmp_path)) == families.FAMILIES["gunicorn-plain"]
    assert family_of(spec(tmp_path / "other")) is None


def test_a_folder_with_many_files_is_not_read_to_its_end(tmp_path, packages, monkeypatch):
    read: list[int] = []
    with os.scandir(packages.parent.parent) as entries:
        entry = next(entries)

    class Endless:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def __iter__(self):
            return self

        def __next__(self):
            read.append(1)
            assert len(read) <= 100, "it would never end"
            return entry

    monkeypatch.setattr(families.os, "scandir", lambda _: Endless())
    assert family_of(spec(tmp_path)) == families.FAMILIES["gunicorn-plain"]


@pytest.mark.parametrize("place", [".venv", ".venv/lib/python3.11/site-packages", ".venv/lib/python3.11/site-packages/django"])
def test_a_link_that_leads_nowhere_or_in_circles_makes_an_ordinary_start_at_most(tmp_path, place):
    link = tmp_path / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(link.name)
    assert family_of(spec(tmp_path)) in {None, families.FAMILIES["gunicorn-plain"]}
    link.unlink()
    link.symlink_to("/".join(["x" * 250] * 16))
    assert family_of(spec(tmp_path)) in {None, families.FAMILIES["gunicorn-plain"]}
