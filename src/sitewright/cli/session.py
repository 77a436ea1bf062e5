"""What every command begins with: a client of the current platform."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from sitewright.domain.channel import PRODUCTION

if TYPE_CHECKING:
    from sitewright.cli.client import Client

_CHOSEN: ContextVar[str] = ContextVar("channel", default="")
CHANNEL_HELP = "Which channel of the site; production when left out."
SOURCE_HELP = "A folder, an archive, a git address (ADDRESS#branch) or a container image (image:ghcr.io/name/app:1.2)."

SiteArgument = Annotated[str, typer.Argument(metavar="NAME", help="The site's name.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
ChannelOption = Annotated[str, typer.Option("--channel", metavar="CHANNEL", help=CHANNEL_HELP, show_default=False)]
NoWaitOption = Annotated[bool, typer.Option("--no-wait", help="Do not wait until it is done; print the operation's id.")]


def _choose(channel: str) -> str:
    _CHOSEN.set(channel)
    return channel


_option = typer.Option(metavar="CHANNEL", help=CHANNEL_HELP, show_default=False, expose_value=False, callback=_choose)


def _with_channel(channel: Annotated[str, _option] = "") -> None:
    """Only its parameter is used."""


class ForChannel(TyperCommand):
    """A command with the option `--channel`, which ``chosen_channel`` reads: for those that have as many options already as a function
    may take."""

    def __init__(self, *arguments: Any, params: list[Any], **more: Any) -> None:
        only = typer.Typer(add_completion=False)
        only.command()(_with_channel)
        super().__init__(*arguments, params=[*params, *typer.main.get_command(only).params], **more)


def chosen_channel() -> str:
    """The `--channel` of the command that runs; "" when none was said."""
    return _CHOSEN.get()


@contextlib.contextmanager
def connected() -> Iterator[Client]:
    """A client of the current platform (see ``place.current_place``)."""
    from sitewright.cli.client import Client  # noqa: PLC0415 - --help does without
    from sitewright.cli.place import current_place  # noqa: PLC0415

    with Client(current_place()) as client:
        yield client


def segment(text: str | int) -> str:
    """What a person typed as one segment of a path."""
    from urllib.parse import quote  # noqa: PLC0415

    return quote(str(text), safe="")


def site_path(name: str, rest: str = "", *, channel: str = "") -> str:
    """The API path of a site, or of one of its channels; what a person typed is quoted, so it stays one segment."""
    return f"/sites/{segment(name)}{rest}{f'?channel={segment(channel)}' if channel else ''}"


def seen(client: Client, name: str, channel: str = "") -> dict[str, Any]:
    """The site as the API shows it; with *channel*, what differs from channel to channel is that one's."""
    site = client.get(site_path(name))
    if not channel:
        return site
    found = client.get(site_path(name, f"/channels/{segment(channel)}"))
    own = {key: found.get(key) for key in ("state", "mode", "release", "operation")}
    return {**site, **own, "url": next(iter(found.get("urls") or []), ""), "channel": found}


def called(name: str, channel: str) -> str:
    """A channel as it is called at the beginning of a sentence: `blog`, `The channel staging of blog`."""
    return f"The channel {channel} of {name}" if channel and channel != PRODUCTION else name


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
