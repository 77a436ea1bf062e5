"""`exec`: a command inside a running instance, with a terminal when there is one here."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sitewright.cli.session import SiteArgument


def execute(
    name: SiteArgument,
    command: Annotated[list[str], typer.Argument(metavar="-- CMD…", help="The command and its arguments.", show_default=False)],
    process: Annotated[str, typer.Option(help="Inside an instance of this process type.")] = "web",
) -> None:
    """Run a command inside a site's running instance and end with its exit code.

    When standard input is a terminal the command gets one too.
    """
    from sitewright.cli.place import current_place  # noqa: PLC0415
    from sitewright.cli.terminal import run_remote  # noqa: PLC0415

    argv = command[1:] if command[:1] == ["--"] else command
    sys.exit(run_remote(current_place(), name, argv, process))
