"""`python -m benchmarks life`: sleeping and waking through the router, wrk over every change, a thousand first visits under churn."""

from __future__ import annotations

from benchmarks.harness import Row, require
from benchmarks.platform.churn import churn_rows
from benchmarks.platform.drops import drops_rows
from benchmarks.platform.sleeping import sleeping_rows
from benchmarks.platform.stand import stand


def measure() -> list[Row]:
    """Rows of one platform."""
    require("wrk", "wrk")
    with stand() as there:
        return [*sleeping_rows(there), *drops_rows(there), *churn_rows(there)]
