"""Workers, cron processes and one-offs beside the web process."""

from __future__ import annotations

import os
import pty
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sitewright.testing.platform import Platform
from sitewright.testing.witness import Witness

SITES = Path(__file__).parent / "sites"
PROCFILE = """web: node server.js
worker: while true; do sleep 1; done
cron-tick: * * * * * echo tick >> $SITEWRIGHT_DATA/ticks; echo ticked
cron-late: @yearly TZ=Europe/Berlin echo never in this test
"""


@pytest.fixture(scope="module")
def workshop(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witness]:
    made = Witness(platform, "workshop", SITES / "witness", tmp_path_factory.mktemp("workshop") / "app")
    made.write("one", Procfile=PROCFILE)
    made.create()
    made.ask("sleep", "--freeze-after", "0", "--stop-after", "2s")
    yield made
    made.delete()


def test_workers_are_scaled(workshop: Witness) -> None:
    workshop.ask("scale", "worker=2")
    assert workshop.site.get("/").text == "one"
    assert workshop.site.eventually(lambda: workshop.ready("worker") == 2)
    assert "2" in next(line for line in workshop.ask("scale").splitlines() if line.startswith("worker"))


def test_a_one_off_has_the_data_and_the_variables_and_ends_with_its_own_code(workshop: Witness) -> None:
    platform = workshop.platform
    platform.cli("env", "set", workshop.name, "WORD=fish")
    said = platform.cli("run", workshop.name, "--", "sh", "-c", "echo $WORD > $SITEWRIGHT_DATA/caught; echo $WORD; exit 7", check=False)
    assert (said.returncode, said.stdout.strip()) == (7, "fish"), said
    assert (workshop.data / "caught").read_text() == "fish\n"
    assert workshop.site.eventually(lambda: workshop.ready("run") == 0)


def test_a_one_off_has_a_terminal_where_there_is_one(workshop: Witness) -> None:
    ours, theirs = pty.openpty()
    argv = [str(workshop.platform.program), "run", workshop.name, "--", "sh", "-c", "test -t 0 && test -t 1 && echo a terminal"]
    with subprocess.Popen(argv, env=workshop.platform.environment, stdin=theirs, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        assert running.wait(timeout=60) == 0
        assert b"a terminal" in os.read(ours, 10_000)
    os.close(ours)


def test_a_one_off_that_is_not_there_says_so(workshop: Witness) -> None:
    said = workshop.platform.cli("run", workshop.name, "--", "no-such-program", check=False)
    assert said.returncode not in {0, 8}, said
    assert "traceback" not in said.stderr.lower()


def test_a_cron_process_runs_at_its_minute_while_the_site_sleeps(workshop: Witness) -> None:
    listed = workshop.ask("cron")
    assert "cron-late" in listed
    assert "Europe/Berlin" in listed
    workshop.await_stage("stopped")
    ticks = workshop.data / "ticks"
    before = ticks.stat().st_size if ticks.exists() else 0
    assert workshop.site.eventually(lambda: ticks.exists() and ticks.stat().st_size > before, seconds=75)
    assert workshop.ready("web") == 0
    assert workshop.site.eventually(lambda: "not run yet" not in cron_line(workshop), seconds=15)
    assert "ticked" in workshop.ask("logs", "--process", "cron-tick")
    workshop.await_timeline("cron-tick")


def cron_line(workshop: Witness) -> str:
    return next(line for line in workshop.ask("cron").splitlines() if line.startswith("cron-tick"))


def test_no_run_is_doubled_by_a_killed_node(workshop: Witness) -> None:
    ticks = workshop.data / "ticks"
    if time.time() % 60 > 50:
        before = ticks.stat().st_size
        assert workshop.site.eventually(lambda: ticks.stat().st_size > before, seconds=20)
    begun, before = time.time() // 60, ticks.stat().st_size
    os.kill(workshop.platform.part_pid("node"), 9)
    assert workshop.site.eventually(workshop.platform.ready)
    if time.time() // 60 == begun:
        assert ticks.stat().st_size == before
