"""A release on trial: some of the visitors get it, then it is promoted or aborted."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from sitewright.cli.session import JsonOption, NoWaitOption, SiteArgument, connected, finish, site_path


class _ShowsByDefault(TyperGroup):
    """`canary NAME` is `canary show NAME`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See ``click.Group``: a first word that is no command is the site's name."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["show", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(help="Look after a release on trial: `sitewright canary NAME` shows it.", no_args_is_help=True, cls=_ShowsByDefault)


@app.command()
def show(name: SiteArgument, as_json: JsonOption = False) -> None:
    """Show how the release on trial does beside the site's own."""
    from sitewright.cli.output import clean, print_fields, print_json, print_table  # noqa: PLC0415

    with connected() as client:
        body = client.get(site_path(name, "/canary"))
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
def promote(name: SiteArgument, no_wait: NoWaitOption = False) -> None:
    """Make the release on trial the site's own: all visitors get it, without a gap."""
    _decide(name, "promote", f"All visitors of {name} get the new release.", no_wait=no_wait)


@app.command()
def abort(name: SiteArgument, no_wait: NoWaitOption = False) -> None:
    """Take the release on trial away: all visitors get the site's own again."""
    _decide(name, "abort", f"All visitors of {name} get the old release.", no_wait=no_wait)


def _decide(name: str, verb: str, done: str, *, no_wait: bool) -> None:
    with connected() as client:
        finish(client, client.post(site_path(name, f"/canary/{verb}")), no_wait=no_wait, done=done)
