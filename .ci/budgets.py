"""The budgets of how this code reads: length of files and functions, number of parameters, words that have no place in a repository.

Prints one line a breach; exit code 1 when there is any.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILE_LINES = 400
FUNCTION_LINES = 60
PARAMETERS = 6
FORBIDDEN_NAMES = re.compile(r"^_*(utils?|helpers?|common|misc)$")
# Places of one machine do not belong into a repository. Written so that this file does not find itself.
MACHINE_PATHS = re.compile("/" + r"work/(main|shared)\b|/" + r"root/\.pyenv|/" + r"opt/(pypi|wheels)\b")
TEXT = frozenset({".py", ".md", ".sh", ".toml", ".html", ".txt", ".json", ".conf", ".tmpl", ".yml", ".yaml", ""})


def tracked() -> list[Path]:
    """The files of the repository."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file() and not path.is_symlink()]


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many a caller may give; self and cls are not given."""
    arguments = function.args
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def functions(path: Path, text: str, *, tests: bool) -> Iterator[str]:
    """Breaches of the functions of one file. Tests may take many fixtures."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        place = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > FUNCTION_LINES:
            yield f"{place} has {lines} lines; {FUNCTION_LINES} is the most"
        if not tests and parameters(node) > PARAMETERS:
            yield f"{place} takes {parameters(node)} parameters; {PARAMETERS} is the most"


def breaches() -> Iterator[str]:
    """Every breach of the repository."""
    for path in tracked():
        name = path.relative_to(ROOT)
        if FORBIDDEN_NAMES.match(path.stem) and path.suffix == ".py":
            yield f"{name} is a name that says nothing"
        if path.suffix not in TEXT or path.stat().st_size > 500_000:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        found = MACHINE_PATHS.search(text)
        if found:
            yield f"{name} names a path of one machine: {found.group()}"
        if path.suffix != ".py" or "migrations" in path.parts:
            continue
        lines = text.count("\n")
        if lines > FILE_LINES:
            yield f"{name} has {lines} lines; {FILE_LINES} is the most"
        yield from functions(path, text, tests=name.parts[0] == "tests")


def main() -> int:
    """Print the breaches."""
    found = list(breaches())
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
