"""Hundreds of first visits of sleeping sites while their owners deploy, scale and change them and the node is killed: none fails."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from sitewright.testing.platform import Platform
from sitewright.testing.storm import Storm, settle, sleepers, usual_changes

SITES = Path(__file__).parent / "sites"
COUNT, VISITS = 16, 300


def test_no_first_visitor_is_turned_away(platform: Platform, tmp_path: Path, tell: Callable[[str], None]) -> None:
    sites = sleepers(platform, SITES / "witness", tmp_path, COUNT)
    with Storm(platform, sites) as storm:
        storm.go_on(VISITS // 4, 120)
        storm.churn(usual_changes(platform), every=1.0)
        storm.go_on(VISITS // 2, 120)
        os.kill(platform.part_pid("node"), signal.SIGKILL)
        storm.go_on(VISITS, 180)
    tell(f"wake storm: {storm.told()}")
    assert storm.failures == []
    assert storm.changes > 10, storm.refused
    settle(sites)
    for made in sites:
        platform.cli("sites", "delete", made.name, "--confirm", made.name, "--no-wait")
