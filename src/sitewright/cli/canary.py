"""A release on trial: some of the visitors get it, then it is promoted or aborted."""

from __future__ import annotations

from typing import Any

import typer

from sitewright.cli.groups import ShowsByDefault
from sitewright.cli.session import ChannelOption, JsonOption, NoWaitOption, SiteArgument, connected, finish, site_path

app = typer.Typer(help="Look after a release on trial: `sitewright canary NAME` shows it.", no_args_is_help=True, cls=ShowsByDefault)


@app.command()
def show(name: SiteArgument, channel: ChannelOption = "", as_json: JsonOption = False) -> None:
    """Show how the release on trial does beside the site's own."""
    from sitewright.cli.output import clean, print_fields, print_json, print_table  # noqa: PLC0415

    with connected() as client:
        body = client.get(site_path(name, "/canary", channel=channel))
    canary = body.get("canary")
    if as_json:
        print_json(body)
        return
    if not canary:
        if last := body.get("last"):
            print(clean(f"Release {last['release']} was {last['verdict']}. {last.get('reason') or ''}".strip()))
        print(f"{name} has no release on trial. `sitewright deploy PATH --site {name} --canary 10%` begins one.")
        return
    fields = [("Release", canary.get("release")), ("State", canary.get("state")), ("Share", _share(canary)), ("Why", canary.get("reason"))]
    print_fields([field for field in fields if field[1]])
    print()
    rows = [
        [f"{canary.get('release')} on trial", *_figures(canary, "")],
        [f"{canary.get('old_release') or ''} the site's own".strip(), *_figures(canary, "old_")],
    ]
    print_table(("release", "requests", "failed", "median"), rows, empty="")


def _share(canary: dict[str, Any]) -> str:
    return f"{canary.get('percent') or 0:g} % of the requests"


def _figures(canary: dict[str, Any], prefix: str) -> list[str]:
    latency = float(canary.get(f"{prefix}latency") or 0)
    return [
        str(canary.get(f"{prefix}requests") or 0),
        str(canary.get(f"{prefix}errors") or 0),
        f"{latency * 1000:.0f} ms" if latency else "",
    ]


@app.command()
def promote(name: SiteArgument, channel: ChannelOption = "", no_wait: NoWaitOption = False) -> None:
    """Make the release on trial the site's own: all visitors get it, without a gap."""
    _decide(name, channel, "promote", f"All visitors of {name} get the new release.", no_wait=no_wait)


@app.command()
def abort(name: SiteArgument, channel: ChannelOption = "", no_wait: NoWaitOption = False) -> None:
    """Take the release on trial away: all visitors get the site's own again."""
    _decide(name, channel, "abort", f"All visitors of {name} get the old release.", no_wait=no_wait)


def _decide(name: str, channel: str, verb: str, done: str, *, no_wait: bool) -> None:
    with connected() as client:
        finish(client, client.post(site_path(name, f"/canary/{verb}", channel=channel)), no_wait=no_wait, done=done)
