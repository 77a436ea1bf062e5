"""The last line of a test run: what passed and failed in all groups together, from pytest's reports and the names of failed groups.

`summary.py FOLDER [GROUP…]`. A failed group without a report of failures (a check, a crash) counts as one error.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

WORDS = {"failures": "failed", "errors": "errors", "skipped": "skipped"}


def counts(report: Path) -> dict[str, int]:
    """How many of each kind are in one report; nothing for one that was cut off."""
    total = dict.fromkeys(("tests", *WORDS), 0)
    try:
        suites = list(ElementTree.parse(report).getroot().iter("testsuite"))  # noqa: S314 - pytest wrote it a moment ago
    except (OSError, ElementTree.ParseError):
        return total
    for suite in suites:
        for name in total:
            total[name] += int(suite.get(name, "0"))
    return total


def main(folder: str, *failed: str) -> None:
    """Print it."""
    reports = {path.stem: counts(path) for path in Path(folder).glob("*.xml")}
    total = {name: sum(report[name] for report in reports.values()) for name in ("tests", *WORDS)}
    total["errors"] += sum(1 for group in failed if not any(reports.get(group, {}).get(kind) for kind in ("failures", "errors")))
    passed = sum(report["tests"] - sum(report[name] for name in WORDS) for report in reports.values())
    print(", ".join([f"{passed} passed", *(f"{total[name]} {word}" for name, word in WORDS.items() if total[name])]))


if __name__ == "__main__":
    main(*sys.argv[1:])
