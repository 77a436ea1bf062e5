"""The pytest plugin that ships with the distribution: a data folder of the test run's own, and the choice of the manager's database."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from sitewright.testing.leftovers import NAMES_VARIABLE, note_platforms
from sitewright.testing.postgres import PostgresServer


class _Run:
    """What this test run has made and must clear away."""

    folder: Path | None = None
    server: PostgresServer | None = None


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--database=postgresql` runs the manager's tests on a PostgreSQL that is started for them."""
    parser.addoption("--database", choices=("sqlite", "postgresql"), default="sqlite", help="what the manager's tests keep their rows in")


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    """Before Django reads its settings: no test touches the data folder of a platform on this machine."""
    if NAMES_VARIABLE in os.environ:
        note_platforms()
    if "SITEWRIGHT_HOME" not in os.environ:
        _Run.folder = Path(tempfile.mkdtemp(prefix="sitewright-tests-"))
        _Run.folder.chmod(0o711)
        os.environ["SITEWRIGHT_HOME"] = str(_Run.folder)
        (_Run.folder / "manager").mkdir()
    wanted = early_config.known_args_namespace.database
    if wanted == "postgresql" and not os.environ.get("SITEWRIGHT_DATABASE_URL"):
        _Run.server = PostgresServer()
        os.environ["SITEWRIGHT_DATABASE_URL"] = _Run.server.start()
    return (yield)


def pytest_unconfigure() -> None:
    """Clear away."""
    if _Run.server is not None:
        _Run.server.stop()
        _Run.server = None
    if _Run.folder is not None:
        shutil.rmtree(_Run.folder, ignore_errors=True)
        _Run.folder = None
