"""`python -m benchmarks density`: ten thousand sleeping and ten thousand static sites. A platform of its own, and minutes to fill it."""

from benchmarks.platform.density import measure

__all__ = ["measure"]
