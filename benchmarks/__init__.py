"""Measurements against the bars of the design and against named peers, in one run: `python -m benchmarks [module …]`."""
