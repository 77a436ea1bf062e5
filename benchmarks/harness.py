"""Rows of the table, how they are judged and printed, and the tools that measuring needs."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results.json"
NOT_MEASUREMENTS = {"__main__", "harness", "rig"}


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. ``bar`` is what it must reach (None: only for information), ``higher_is_better`` which side of it is good.

    ``peer`` names what was measured in the same run for comparison, ``peer_value`` its figure in the same unit.
    """

    name: str
    value: float
    unit: str
    bar: float | None = None
    higher_is_better: bool = False
    peer: str = ""
    peer_value: float | None = None

    @property
    def ok(self) -> bool | None:
        """Whether the bar is reached; None without one."""
        if self.bar is None:
            return None
        return self.value >= self.bar if self.higher_is_better else self.value <= self.bar

    def as_json(self) -> dict[str, object]:
        """The row as it is stored."""
        return {**asdict(self), "ok": self.ok}


class ToolMissingError(Exception):
    """A program that measuring needs is not installed."""


def require(program: str, package: str) -> str:
    """Path of *program*; as root it is installed from the distribution when it is missing. Raises ToolMissingError."""
    found = shutil.which(program)
    if not found and os.geteuid() == 0:
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", package], check=True, stdout=subprocess.DEVNULL)
        found = shutil.which(program)
    if not found:
        raise ToolMissingError(f"{program} is missing; install it: apt-get install -y {package}")
    return found


def measurements(names: Iterable[str]) -> list[str]:
    """Modules to run: those named, or all of this package. Raises ModuleNotFoundError for an unknown one."""
    there = sorted({module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])} - NOT_MEASUREMENTS)
    wanted = list(names)
    unknown = set(wanted) - set(there)
    if unknown:
        raise ModuleNotFoundError(f"There is no measurement {', '.join(sorted(unknown))}; there are {', '.join(there)}.")
    return wanted or there


def measure(name: str) -> list[Row]:
    """Run one module's ``measure()``."""
    rows: list[Row] = importlib.import_module(f"benchmarks.{name}").measure()
    return rows


def table(rows: list[Row]) -> str:
    """The rows for people."""
    head = ("what", "value", "bar", "", "peer")
    lines = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def _cells(row: Row) -> tuple[str, str, str, str, str]:
    bar = "" if row.bar is None else f"{'≥' if row.higher_is_better else '≤'} {_number(row.bar)} {row.unit}"
    peer = "" if row.peer_value is None else f"{row.peer}: {_number(row.peer_value)} {row.unit}"
    return row.name, f"{_number(row.value)} {row.unit}", bar, {True: "ok", False: "MISSED", None: ""}[row.ok], peer


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"


def store(rows: list[Row], path: Path = RESULTS) -> None:
    """Write results.json; rows of measurements that did not run this time stay as they were."""
    kept = {row["name"]: row for row in json.loads(path.read_text())} if path.exists() else {}
    kept |= {row.name: row.as_json() for row in rows}
    path.write_text(json.dumps(list(kept.values()), indent=1, ensure_ascii=False) + "\n")
