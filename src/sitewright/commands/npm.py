"""Argv for npm, as it is used inside a build's sandbox."""

from __future__ import annotations

NPM = "/usr/bin/npm"
_QUIET = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=warn")


def install(*, locked: bool) -> tuple[str, ...]:
    """Install dependencies, development ones too (a build needs them); exactly the lock file's when there is one."""
    return (NPM, "ci" if locked else "install", "--include=dev", *_QUIET)


def prune() -> tuple[str, ...]:
    """Remove development dependencies again."""
    return (NPM, "prune", "--omit=dev", *_QUIET)


def run_script(name: str) -> tuple[str, ...]:
    """Run a script of package.json."""
    return (NPM, "run", "--silent", name)


def with_package(package: str, command: tuple[str, ...]) -> tuple[str, ...]:
    """Run *command* where the programs of a package of the registry can be found."""
    return (NPM, "exec", "--yes", f"--package={package}", "--", *command)
