"""Deploying new code to a site."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sitewright.cli.session import (
    SOURCE_HELP,
    ChannelOption,
    NoWaitOption,
    SiteArgument,
    called,
    connected,
    finish,
    seen,
    site_path,
)


def deploy(
    source: Annotated[str, typer.Argument(metavar="[PATH|GIT|ARCHIVE|IMAGE]", help=SOURCE_HELP)] = ".",
    site: Annotated[str, typer.Option("--site", metavar="NAME", help="The site to deploy to.", show_default=False)] = ...,  # type: ignore[assignment]
    canary: Annotated[
        str,
        typer.Option(metavar="PERCENT", help="Give the release to that share of the visitors first, such as 10%; then promote or abort."),
    ] = "",
    blue_green: Annotated[
        bool, typer.Option("--blue-green", help="Start all new instances beside the old ones, and lead all visitors over at once.")
    ] = False,
    channel: ChannelOption = "",
    no_wait: NoWaitOption = False,
) -> None:
    """Build a folder, an archive or a repository, or take an image; online when it works, and until then the old release answers."""
    from sitewright.cli.sending import send_with_progress  # noqa: PLC0415

    choices = _choices(canary, blue_green=blue_green)
    with connected() as client:
        found = seen(client, site, channel)
        sent = send_with_progress(client, source)
        answer = client.post(site_path(site, "/deploys", channel=channel), {"source": sent, **choices})
        done = f"{called(site, channel)} is online: {found.get('url', '')}"
        if canary:
            done = f"The new release of {site} is on trial. `sitewright canary {site}` says how it does."
        finish(client, answer, no_wait=no_wait, done=done)


def _choices(canary: str, *, blue_green: bool) -> dict[str, Any]:
    """How the release takes over, as the API wants it. Raises InvalidValueError."""
    from sitewright.cli.amounts import percent_of  # noqa: PLC0415
    from sitewright.errors import InvalidValueError  # noqa: PLC0415

    if canary and blue_green:
        raise InvalidValueError("A release is either tried on some or given to all at once.", resolution="Choose --canary or --blue-green.")
    if canary:
        return {"canary_percent": percent_of(canary)}
    return {"strategy": "blue_green"} if blue_green else {}


def rollback(
    name: SiteArgument,
    number: Annotated[
        int | None, typer.Argument(metavar="[RELEASE]", min=1, help="The release's number; the one before when left out.")
    ] = None,
    channel: ChannelOption = "",
    why: Annotated[str, typer.Option(help="A reason, for the timeline.", show_default=False)] = "",
    no_wait: NoWaitOption = False,
) -> None:
    """Go back to an earlier release, without building it again and without a gap for the visitors."""
    body: dict[str, Any] = ({"release": number} if number else {}) | ({"why": why} if why else {})
    with connected() as client:
        answer = client.post(site_path(name, "/rollback", channel=channel), body)
        done = f"{called(name, channel)} runs {f'release {number}' if number else 'the release before'} again."
        finish(client, answer, no_wait=no_wait, done=done)
