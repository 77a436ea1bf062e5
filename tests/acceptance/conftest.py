"""One platform for all acceptance stories, started as a newcomer would: `./sitewright up`."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sitewright.testing.elsewhere import NETWORK
from sitewright.testing.people import Person, assemble
from sitewright.testing.platform import Platform

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    """A TCP port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """A whole platform with a data folder and a port of its own.

    The folder is not pytest's, which only root may enter: sites run as users of their own and must reach theirs.
    """
    os.environ.setdefault("SITEWRIGHT_EXTRA_EGRESS", NETWORK)  # where a forge of the tests is; nobody else is there
    with tempfile.TemporaryDirectory(prefix="sitewright-acceptance-") as folder:
        Path(folder).chmod(0o711)
        running = Platform(ROOT / "sitewright", home=Path(folder) / "home", port=free_port(), ssh_port=free_port())
        try:
            running.start()
            yield running
        finally:
            running.clear_away()


@pytest.fixture(scope="session")
def people(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Person]:
    """Alice, Bob and Vera of the team `choir`, and Charlie, a stranger; each with a key that the platform knows."""
    found = assemble(platform, tmp_path_factory.mktemp("homes"))
    for person in found.values():
        person.add_key()
    return found


@pytest.fixture(scope="session")
def alice(people: dict[str, Person]) -> Person:
    """She owns the team."""
    return people["alice"]


@pytest.fixture(scope="session")
def bob(people: dict[str, Person]) -> Person:
    """He develops in her team."""
    return people["bob"]


@pytest.fixture(scope="session")
def charlie(people: dict[str, Person]) -> Person:
    """He must never see anything."""
    return people["charlie"]


FIGURE = "figure"


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Says a figure at the end of the run, whether or not its story passed; it is in the junit file, too."""
    return lambda text: request.node.user_properties.append((FIGURE, text))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, []) if report.when == "call"]
    told = [text for report in reports for name, text in report.user_properties if name == FIGURE]
    if told:
        terminalreporter.section("figures")
        terminalreporter.write("\n".join(told) + "\n")
