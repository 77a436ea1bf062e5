"""Signing in and out."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sitewright.cli.session import JsonOption, connected


def login(
    url: Annotated[str, typer.Argument(metavar="[URL]", help="The platform's address; this machine's own when left out.")] = "",
    email: Annotated[str, typer.Option(help="Your e-mail address, instead of being asked for it.")] = "",
    token: Annotated[bool, typer.Option("--token", help="Read a token from standard input instead of asking for a password.")] = False,
) -> None:
    """Sign in to a platform; the token is kept for later commands in a file that only you can read."""
    from sitewright.cli.client import Client  # noqa: PLC0415
    from sitewright.cli.place import Place, connect_for, current_place, normal_url, remember  # noqa: PLC0415

    known = current_place() if not url else Place(normal_url(url), "", connect_for(normal_url(url)))
    place = Place(known.url, "", known.connect)
    if token:
        secret = sys.stdin.readline().strip()
    else:
        import platform  # noqa: PLC0415

        email = email or typer.prompt("E-mail")
        password = typer.prompt("Password", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
        with Client(place) as client:
            answer = client.post("/auth/tokens", {"email": email, "password": password, "label": f"CLI on {platform.node()}"})
        secret = str(answer["token"])
    with Client(Place(place.url, secret, place.connect)) as client:
        me = client.get("/me")
    remember(place.url, secret)
    typer.echo(f"Signed in to {place.url} as {me.get('email', '')}.")


def logout() -> None:
    """Forget the token of the platform you are signed in to."""
    from sitewright.cli.place import current_place, remember  # noqa: PLC0415

    place = current_place()
    remember(place.url, "")
    typer.echo(f"Signed out of {place.url}.")


def whoami(as_json: JsonOption = False) -> None:
    """Say who you are and on which platform."""
    from sitewright.cli.output import print_fields, print_json  # noqa: PLC0415

    with connected() as client:
        me = client.get("/me")
        teams = list(client.items("/teams"))
        url = client.place.url
    if as_json:
        print_json({**me, "url": url, "teams": teams})
        return
    roles = ", ".join(f"{team['name']} ({team['role']})" for team in teams)
    print_fields([("Platform", url), ("You", me.get("email")), ("Administrator", "yes" if me.get("admin") else "no"), ("Teams", roles)])
