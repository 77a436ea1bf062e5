"""`python -m benchmarks pushes`: git push over SSH until visitors get it. A platform of its own."""

from __future__ import annotations

from benchmarks.harness import Row
from benchmarks.platform.push import push_rows
from benchmarks.platform.stand import stand


def measure() -> list[Row]:
    """Rows of the pushes."""
    with stand() as there:
        return push_rows(there)
