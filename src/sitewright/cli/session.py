"""What every command begins with: a client of the current platform."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sitewright.cli.client import Client

SOURCE_HELP = "A folder, an archive or a git address (ADDRESS#branch)."

SiteArgument = Annotated[str, typer.Argument(metavar="NAME", help="The site's name.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
NoWaitOption = Annotated[bool, typer.Option("--no-wait", help="Do not wait until it is done; print the operation's id.")]


@contextlib.contextmanager
def connected() -> Iterator[Client]:
    """A client of the current platform (see ``place.current_place``)."""
    from sitewright.cli.client import Client  # noqa: PLC0415 - --help does without
    from sitewright.cli.place import current_place  # noqa: PLC0415

    with Client(current_place()) as client:
        yield client


def site_path(name: str, rest: str = "") -> str:
    """The API path of a site; what a person typed is quoted, so it stays one segment."""
    from urllib.parse import quote  # noqa: PLC0415

    return f"/sites/{quote(name, safe='')}{rest}"


def finish(client: Client, answer: dict[str, object], *, no_wait: bool, done: str) -> None:
    """Follow the operation of a 202 answer and say *done*, or only name it."""
    from sitewright.cli.follow import follow  # noqa: PLC0415

    operation = answer.get("operation")
    if not isinstance(operation, dict):
        typer.echo(done)
    elif no_wait:
        typer.echo(operation["id"])
    else:
        follow(client, operation)
        typer.echo(done)
