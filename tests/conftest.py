"""What holds for all tests: in continuous integration none is left out, and examples are the same each time; who runs beside whom."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

CI = bool(os.environ.get("CI"))
ALLOWED_SKIPS = ("an ordinary user's parts all run as that user", "another user's files are only kept apart as root")
"""Reasons for which a test may be left out in continuous integration: both only hold for who does not run it as root."""

settings.register_profile("ci", derandomize=True, database=None, deadline=None, print_blob=True)
settings.register_profile("here", deadline=None)
settings.load_profile("ci" if CI else "here")


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure: a missing tool must not hide that something is not tested."""
    if not (CI and report.skipped) or hasattr(report, "wasxfail"):
        return
    reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not any(allowed in reason for allowed in ALLOWED_SKIPS):
        report.outcome = "failed"
        report.longrepr = f"No test may be left out here. {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    refuse_skip(report)
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `--dist loadgroup` one worker takes all tests of a file, and all that need a Docker Engine, so that one is started."""
    for item in items:
        docker = "dockerd" in getattr(item, "fixturenames", ()) or "[docker" in item.name
        item.add_marker(pytest.mark.xdist_group("docker" if docker else item.path.stem))


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Say at once what fails: a run that is cut off has told it."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if CI and reporter is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Announcer(reporter))


class Announcer:
    """Writes a line for each failure when it happens."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self.reporter = reporter

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.reporter.write_line(f"\n{report.when} of {report.nodeid} failed: {report.longreprtext.splitlines()[-1][:200]}")
