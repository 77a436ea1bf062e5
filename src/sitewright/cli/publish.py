"""A live channel's edits: what they are, and what becomes of them."""

from __future__ import annotations

from typing import Annotated

import typer

from sitewright.cli.session import ChannelOption, JsonOption, SiteArgument, connected, finish, site_path

KINDS = {"A": "new", "M": "changed", "D": "gone"}


def edits(name: SiteArgument, channel: ChannelOption = "", as_json: JsonOption = False) -> None:
    """List what was edited in a live channel since it was last published."""
    from sitewright.cli.output import print_json, print_table  # noqa: PLC0415

    with connected() as client:
        body = client.get(site_path(name, "/edits", channel=channel))
    if as_json:
        print_json(body)
        return
    rows = [[KINDS.get(item["kind"], item["kind"]), item["path"]] for item in body["items"]]
    print_table(("", "file"), rows, empty="Everything is published.")
    if body.get("more"):
        print(f"… and {body['more']} more.")


def publish(
    name: SiteArgument,
    message: Annotated[str, typer.Option("-m", "--message", help="What was done, for the commit.")] = "",
    branch: Annotated[str, typer.Option(help="To this branch instead of the channel's own.")] = "",
    stash: Annotated[
        bool, typer.Option("--stash", help="Commit the edits to a branch of their own and go back to what was published.")
    ] = False,
    discard: Annotated[bool, typer.Option("--discard", help="Throw the edits away and go back to what was published.")] = False,
    channel: ChannelOption = "",
) -> None:
    """Commit the edits of a live channel to its branch, so that the repository has what visitors see."""
    from sitewright.errors import InvalidValueError  # noqa: PLC0415

    if stash and discard:
        raise InvalidValueError("Edits are either kept or thrown away.", resolution="Choose --stash or --discard.")
    if not (stash or discard or message):
        raise InvalidValueError("Say what was done.", resolution=f'Write `sitewright publish {name} -m "What was done"`.')
    rest, done = "/publish", f"The edits of {name} are published."
    body = {"message": message} | ({"branch": branch} if branch else {})
    if stash:
        rest, done = "/edits/stash", f"The edits of {name} are in a branch of their own; `sitewright branches {name}` names it."
        body = {"branch": branch} if branch else {}
    elif discard:
        rest, done, body = "/edits/discard", f"The edits of {name} are gone.", {}
    with connected() as client:
        answer = client.post(site_path(name, rest, channel=channel), body)
        finish(client, answer, no_wait=False, done=done)
