"""What is wrong with a configuration file, and where."""

from __future__ import annotations

from dataclasses import dataclass

from sitewright.errors import BuildError

MOST_PROBLEMS = 50
"""Of one file; what comes after them is not read any more."""


@dataclass(frozen=True, slots=True)
class Problem:
    """``line`` counts from 1; 0 is the whole file. A ``warning`` does not keep the file from being followed."""

    file: str
    line: int
    message: str
    resolution: str = ""
    warning: bool = False

    def __str__(self) -> str:
        where = f"{self.file}, line {self.line}" if self.line else self.file
        return f"{where}: {self.message}" + (f" {self.resolution}" if self.resolution else "")


def refuse(problems: tuple[Problem, ...]) -> None:
    """Raise BuildError with everything that keeps a file from being followed, the first in its message; nothing when it can be."""
    wrong = [problem for problem in problems if not problem.warning]
    if not wrong:
        return
    first, *more = wrong
    where = f"{first.file}, line {first.line}" if first.line else first.file
    raise BuildError(
        f"{where}: {first.message}",
        details="\n".join(str(problem) for problem in more[:20]),
        resolution=first.resolution or f"Correct {first.file} and deploy again.",
    )
