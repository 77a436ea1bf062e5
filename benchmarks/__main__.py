"""`python -m benchmarks [module …]`: measure, print the table, write results.json. Ends with 1 when a bar was missed."""

from __future__ import annotations

import sys

from benchmarks.harness import Row, ToolMissingError, measure, measurements, store, table


def main(names: list[str]) -> int:
    """Exit code: 0 when every bar was reached, 1 when one was missed, 2 when something could not be measured."""
    rows: list[Row] = []
    failed = False
    for name in measurements(names):
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        try:
            found = measure(name)
        except ToolMissingError as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed = True
            continue
        store(found)
        rows += found
    print(table(rows))
    if failed:
        return 2
    return 1 if any(row.ok is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
