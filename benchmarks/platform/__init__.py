"""A whole platform: what it uses idle, deploys, edits, starts. One platform for all of it, with a data folder and a port of its own."""

from __future__ import annotations

from benchmarks.harness import Row, require
from benchmarks.platform.deploy import deploy_rows
from benchmarks.platform.edit import edit_rows
from benchmarks.platform.idle import idle_rows
from benchmarks.platform.latency import latency_rows
from benchmarks.platform.neighbour import neighbour_rows
from benchmarks.platform.stand import stand
from benchmarks.platform.wake import wake_rows


def measure() -> list[Row]:
    """Rows of the platform."""
    require("wrk", "wrk")
    with stand() as there:
        return [*idle_rows(there), *deploy_rows(there), *edit_rows(there), *latency_rows(there), *neighbour_rows(there), *wake_rows(there)]
