"""The wake storm in full: a thousand first visits of twenty sleeping sites, under deploys, scaling, changes and the death of the node."""

from __future__ import annotations

import os
import signal
import sys

from benchmarks.harness import Row
from benchmarks.platform.stand import ROOT, Stand
from sitewright.testing.storm import Storm, settle, sleepers, usual_changes

COUNT, VISITS, SECONDS = 20, 1000, 600.0
APP = ROOT / "tests/acceptance/sites/witness"


def churn_rows(there: Stand) -> list[Row]:
    """How many of a thousand first visitors were not served, and how long they waited."""
    platform = there.platform
    sites = sleepers(platform, APP, there.folder / "storm", COUNT)
    with Storm(platform, sites) as storm:
        storm.churn(usual_changes(platform), every=1.0)
        storm.go_on(VISITS // 2, SECONDS)
        os.kill(platform.part_pid("node"), signal.SIGKILL)
        storm.go_on(VISITS, SECONDS)
    print(storm.told(), file=sys.stderr)
    settle(sites)
    for made in sites:
        platform.cli("sites", "delete", made.name, "--confirm", made.name)
    waited = sorted(storm.waited)
    return [
        Row("first visitors not served, of 1,000 under churn and a killed node", len(storm.failures), "", 0),
        Row("first visits under churn: median", waited[len(waited) // 2] * 1000, "ms"),
        Row("first visits under churn: p95", waited[len(waited) * 95 // 100] * 1000, "ms"),
    ]
