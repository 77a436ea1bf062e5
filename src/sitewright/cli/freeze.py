"""Deploy freezes: times in which nothing new goes online."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from sitewright.cli.channels import channel_path
from sitewright.cli.session import SiteArgument, connected
from sitewright.domain.channel import PRODUCTION

ChannelName = Annotated[str, typer.Option("--channel", metavar="CHANNEL", help="Which channel of the site.")]


def freeze(
    name: SiteArgument,
    until: Annotated[
        str, typer.Option(metavar="WHEN", help="For how long (2h, 3d), or until when (2031-07-01T08:00).", show_default=False)
    ] = ...,  # type: ignore[assignment]
    reason: Annotated[str, typer.Option(help="Why; whoever pushes meanwhile reads it.")] = "",
    channel: ChannelName = PRODUCTION,
) -> None:
    """Let nothing new go online for a while; a rollback still does."""
    from sitewright.cli.output import when  # noqa: PLC0415

    end = moment(until, datetime.now(UTC))
    with connected() as client:
        client.post(channel_path(name, channel, "/freeze"), {"until": end.isoformat(), "reason": reason})
    typer.echo(f"{channel} of {name} is frozen until {when(end.isoformat())}. `sitewright unfreeze {name}` ends it before.")


def unfreeze(name: SiteArgument, channel: ChannelName = PRODUCTION) -> None:
    """End a freeze."""
    with connected() as client:
        client.request("DELETE", channel_path(name, channel, "/freeze"))
    typer.echo(f"{channel} of {name} can be deployed to again.")


def moment(text: str, now: datetime) -> datetime:
    """`2h` from *now*, or a time as ISO 8601 has it (this machine's zone when it names none). Raises InvalidValueError."""
    from sitewright.cli.amounts import seconds_of  # noqa: PLC0415
    from sitewright.errors import InvalidValueError  # noqa: PLC0415

    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        pass
    try:
        return now + timedelta(seconds=seconds_of(text))
    except InvalidValueError as error:
        raise InvalidValueError(f"“{text}” is not a time.", resolution="Write 2h, 3d or 2031-07-01T08:00.") from error
