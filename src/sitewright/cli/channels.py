"""Channels: several versions of one site, each with a branch, an address and variables of its own."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sitewright.cli.groups import ListsByDefault
from sitewright.cli.session import JsonOption, NoWaitOption, SiteArgument, connected, finish, segment, site_path
from sitewright.domain.channel import PRODUCTION
from sitewright.domain.states import Mode, Role

app = typer.Typer(help="Several versions of one site: `sitewright channels NAME` lists them.", no_args_is_help=True, cls=ListsByDefault)
NameArgument = Annotated[str, typer.Argument(metavar="CHANNEL", help="The channel's name, such as staging.", show_default=False)]


def channel_path(name: str, channel: str, rest: str = "") -> str:
    """The API path of a channel itself."""
    return site_path(name, f"/channels/{segment(channel)}{rest}")


@app.command("list")
def list_channels(name: SiteArgument, as_json: JsonOption = False) -> None:
    """List a site's channels."""
    from sitewright.cli.output import print_json, print_table  # noqa: PLC0415

    with connected() as client:
        items = list(client.items(site_path(name, "/channels")))
    if as_json:
        print_json(items)
        return
    columns = ("channel", "state", "branch", "release", "mode", "address", "remarks")
    print_table(columns, [_row(channel) for channel in items], empty="It has no channel.")


def _row(channel: dict[str, Any]) -> list[Any]:
    urls = channel.get("urls") or [channel.get("url") or ""]
    return [
        channel.get("name"),
        channel.get("state"),
        channel.get("branch"),
        channel.get("release"),
        channel.get("mode"),
        urls[0],
        ", ".join(_remarks(channel)),
    ]


def _remarks(channel: dict[str, Any]) -> list[str]:
    from sitewright.cli.output import when  # noqa: PLC0415

    said = []
    if channel.get("protected"):
        said.append(f"protected: {channel.get('deploy_role') or 'developer'}s deploy")
    if freeze := channel.get("freeze"):
        reason = f" ({freeze['reason']})" if freeze.get("reason") else ""
        said.append(f"frozen until {when(freeze['until'])}{reason}")
    if channel.get("data_of"):
        said.append(f"uses the data of {channel['data_of']}")
    if channel.get("expires_at"):
        said.append(f"until {when(channel['expires_at'])}")
    return said


@app.command()
def create(
    name: SiteArgument,
    channel: NameArgument,
    branch: Annotated[str, typer.Option(help="A push to this branch deploys the channel.")] = "",
    mode: Annotated[Mode, typer.Option(help="Immutable releases, or straight from its folder.")] = Mode.RELEASED,
    copy_env: Annotated[bool, typer.Option("--copy-env", help="Begin with the variables of production.")] = False,
    share_data: Annotated[bool, typer.Option("--share-data", help="Use the data of production instead of its own.")] = False,
) -> None:
    """Make a channel; the first push to its branch puts it online, or `sitewright promote`."""
    body: dict[str, Any] = {"name": channel, "branch": branch, "mode": str(mode), "copy_env": copy_env, "share_data": share_data}
    with connected() as client:
        answer = client.post(site_path(name, "/channels"), body)
        made = answer.get("channel") or answer
        address = next(iter(made.get("urls") or []), "")
        follow = f" A push to {branch} deploys it." if branch else ""
        finish(client, answer, no_wait=False, done=f"{name} has a channel {channel}{f' at {address}' if address else ''}.{follow}")


@app.command("set")
def set_channel(
    name: SiteArgument,
    channel: NameArgument,
    branch: Annotated[
        str | None, typer.Option(help='A push to this branch deploys the channel; with "" none does.', show_default=False)
    ] = None,
    protect: Annotated[
        bool | None,
        typer.Option("--protect/--unprotect", help="Only those with the role deploy, and nobody forces a push.", show_default=False),
    ] = None,
    deploy_role: Annotated[
        Role | None, typer.Option(help="Who deploys, promotes and rolls back while it is protected.", show_default=False)
    ] = None,
    no_wait: NoWaitOption = False,
) -> None:
    """Change which branch a channel follows, and who may deploy it."""
    from sitewright.errors import InvalidValueError  # noqa: PLC0415

    wanted = {"branch": branch, "protected": protect, "deploy_role": deploy_role and str(deploy_role)}
    body = {key: value for key, value in wanted.items() if value is not None}
    if not body:
        raise InvalidValueError(
            "Nothing was changed: nothing was said.", resolution="Give --branch, --protect, --unprotect or --deploy-role."
        )
    with connected() as client:
        finish(
            client,
            client.request("PATCH", channel_path(name, channel), json=body),
            no_wait=no_wait,
            done=f"The channel {channel} of {name} is so now.",
        )


@app.command()
def remove(
    name: SiteArgument,
    channel: NameArgument,
    confirm: Annotated[str, typer.Option(metavar="CHANNEL", help="The channel's name again, instead of being asked for it.")] = "",
    no_wait: NoWaitOption = False,
) -> None:
    """Remove a channel with its releases, variables and its own data. Asks for the name."""
    import sys  # noqa: PLC0415

    from sitewright.errors import InvalidValueError  # noqa: PLC0415

    if not confirm and sys.stdin.isatty():
        confirm = typer.prompt(f"This removes {channel} of {name} with its data. Type the channel's name")
    if confirm != channel:
        raise InvalidValueError("Nothing was removed: the name was not confirmed.", resolution=f"Add --confirm {channel}.")
    with connected() as client:
        answer = client.request("DELETE", channel_path(name, channel), params={"confirm": confirm})
        finish(client, answer, no_wait=no_wait, done=f"The channel {channel} of {name} is gone.")


def promote(
    name: SiteArgument,
    source: Annotated[str, typer.Option("--from", metavar="CHANNEL", help="The channel whose release is taken.", show_default=False)] = ...,  # type: ignore[assignment]
    to: Annotated[str, typer.Option("--to", metavar="CHANNEL", help="The channel that gets it.")] = PRODUCTION,
    release: Annotated[int | None, typer.Option(min=1, help="The number of an older release of that channel.", show_default=False)] = None,
    why: Annotated[str, typer.Option(help="A reason, for the timeline.", show_default=False)] = "",
    no_wait: NoWaitOption = False,
) -> None:
    """Give a channel the release of another one, without building it again and without a gap for the visitors."""
    body: dict[str, Any] = {"from": source} | ({"release": release} if release else {}) | ({"why": why} if why else {})
    with connected() as client:
        answer = client.post(channel_path(name, to, "/adopt"), body)
        finish(client, answer, no_wait=no_wait, done=f"{to} of {name} runs what {source} runs.")
