"""A site's environment variables. Secret values can be written and never be read again."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sitewright.cli.session import ChannelOption, JsonOption, NoWaitOption, SiteArgument, connected, finish, site_path

app = typer.Typer(help="List, set and unset a site's environment variables.", no_args_is_help=True)


@app.command("list")
def list_variables(name: SiteArgument, channel: ChannelOption = "", as_json: JsonOption = False) -> None:
    """List a site's variables; secret values are not shown."""
    from sitewright.cli.output import print_json, print_table  # noqa: PLC0415

    with connected() as client:
        items = list(client.items(site_path(name, "/env", channel=channel)))
    if as_json:
        print_json(items)
        return
    rows = [[item["name"], "(secret)" if item.get("secret") else item.get("value")] for item in items]
    print_table(("variable", "value"), rows, empty="It has no variables.")


def parse_pairs(words: list[str], stdin: str = "") -> dict[str, str]:
    """K=V words as a mapping; `K=-` takes the value from *stdin*, without its last line break. Raises InvalidValueError."""
    from sitewright.errors import InvalidValueError  # noqa: PLC0415

    pairs: dict[str, str] = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator or not name:
            raise InvalidValueError(
                f"“{name}” has no value.",
                resolution="Write NAME=VALUE, or NAME=- to read the value from standard input.",
            )
        pairs[name] = stdin.removesuffix("\n") if value == "-" else value
    if sum(1 for word in words if word.endswith("=-")) > 1:
        raise InvalidValueError("Only one value can come from standard input.", resolution="Set the others in a second call.")
    return pairs


@app.command("set")
def set_variables(
    name: SiteArgument,
    pairs: Annotated[
        list[str], typer.Argument(metavar="K=V…", help="Variables; K=- reads the value from standard input.", show_default=False)
    ],
    secret: Annotated[bool, typer.Option("--secret", help="Never show these values again.")] = False,
    channel: ChannelOption = "",
    no_wait: NoWaitOption = False,
) -> None:
    """Set variables and restart the site with them."""
    stdin = sys.stdin.read() if any(pair.endswith("=-") for pair in pairs) else ""
    wanted = {key: {"value": value, "secret": secret} for key, value in parse_pairs(pairs, stdin).items()}
    with connected() as client:
        answer = client.request("PATCH", site_path(name, "/env", channel=channel), json={"set": wanted, "unset": []})
        finish(client, answer, no_wait=no_wait, done=f"{', '.join(wanted)} set.")


@app.command("unset")
def unset_variables(
    name: SiteArgument,
    names: Annotated[list[str], typer.Argument(metavar="K…", help="Variables to take away.", show_default=False)],
    channel: ChannelOption = "",
    no_wait: NoWaitOption = False,
) -> None:
    """Take variables away and restart the site without them."""
    with connected() as client:
        answer = client.request("PATCH", site_path(name, "/env", channel=channel), json={"set": {}, "unset": names})
        finish(client, answer, no_wait=no_wait, done=f"{', '.join(names)} unset.")
