"""Command lines of nginx. Pure: nothing here runs anything."""

from __future__ import annotations

from pathlib import Path


def run_argv(binary: Path, config: Path, prefix: Path) -> list[str]:
    """Run in the foreground (the configuration says `daemon off`), with relative paths below *prefix*."""
    return [str(binary), "-p", str(prefix), "-e", "stderr", "-c", str(config)]


def check_argv(binary: Path, config: Path, prefix: Path) -> list[str]:
    """Check the configuration and end."""
    return [*run_argv(binary, config, prefix), "-t", "-q"]


def version_argv(binary: Path) -> list[str]:
    """Print the version (to standard error) and end."""
    return [str(binary), "-v"]


def build_argv(binary: Path) -> list[str]:
    """Print the version and what is built in (to standard error) and end."""
    return [str(binary), "-V"]
