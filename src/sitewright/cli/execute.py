"""`exec` and `run`: a command inside a running instance, or in one of its own; with a terminal when there is one here."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sitewright.cli.session import ChannelOption, SiteArgument

CommandArgument = Annotated[list[str], typer.Argument(metavar="-- CMD…", help="The command and its arguments.", show_default=False)]


def execute(
    name: SiteArgument,
    command: CommandArgument,
    process: Annotated[str, typer.Option(help="Inside an instance of this process type.")] = "web",
    channel: ChannelOption = "",
) -> None:
    """Run a command inside a site's running instance and end with its exit code.

    When standard input is a terminal the command gets one too.
    """
    from sitewright.cli.place import current_place  # noqa: PLC0415
    from sitewright.cli.terminal import Where, run_remote  # noqa: PLC0415

    sys.exit(run_remote(current_place(), name, _argv(command), Where(process=process, channel=channel)))


def run(name: SiteArgument, command: CommandArgument, channel: ChannelOption = "") -> None:
    """Run a command in an instance of its own, made for it and gone with it, and end with its exit code.

    It has the files, the variables, the data and the limits of the site and disturbs no visitor. When standard input is a terminal the
    command gets one too.
    """
    from sitewright.cli.place import current_place  # noqa: PLC0415
    from sitewright.cli.terminal import Where, run_remote  # noqa: PLC0415

    sys.exit(run_remote(current_place(), name, _argv(command), Where(one_off=True, channel=channel)))


def _argv(command: list[str]) -> list[str]:
    return command[1:] if command[:1] == ["--"] else command
