"""What a site's processes write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sitewright.cli.session import ChannelOption, JsonOption, SiteArgument, connected, site_path

if TYPE_CHECKING:
    from sitewright.cli.client import Client


def logs(
    name: SiteArgument,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what is written from now; Ctrl-C ends it.")] = False,
    process: Annotated[str, typer.Option(help="Only this process type, such as web.")] = "",
    tail: Annotated[int, typer.Option(min=0, max=10_000, help="How many of the last lines.")] = 100,
    channel: ChannelOption = "",
    as_json: JsonOption = False,
) -> None:
    """Print what a site's processes have written."""
    with connected() as client:
        if follow:
            _follow(client, site_path(name, "/logs/stream", channel=channel), process=process, tail=tail, as_json=as_json)
            return
        page = client.get(site_path(name, "/logs", channel=channel), process=process or None, tail=tail)
    if as_json:
        from sitewright.cli.output import print_json  # noqa: PLC0415

        print_json(page["lines"])
        return
    for line in page["lines"]:
        _print(line)


def _print(line: dict[str, Any]) -> None:
    from sitewright.cli.output import terminal_text, when  # noqa: PLC0415

    head = " ".join(part for part in (when(line.get("at")), str(line.get("source") or "")) if part)
    print(f"{head}  {terminal_text(str(line.get('text', '')))}", flush=True)


def _follow(client: Client, path: str, *, process: str, tail: int, as_json: bool) -> None:
    """Stream lines, over restarts of the manager too; after a break only new lines are asked for."""
    import json  # noqa: PLC0415
    import time  # noqa: PLC0415

    from sitewright.errors import SitewrightError, UnavailableError  # noqa: PLC0415

    after = ""
    while True:
        try:
            for event in client.events(path, after, process=process or None, tail=tail):
                after = event.id or after
                if event.kind == "line" and as_json:
                    print(json.dumps(event.data, ensure_ascii=False), flush=True)
                elif event.kind == "line":
                    _print(event.data)
                elif event.kind == "problem":
                    raise SitewrightError(event.data.get("message", ""), resolution=event.data.get("resolution", ""))
                elif event.kind == "end":
                    return
        except UnavailableError:
            typer.echo("(the connection broke; trying again)", err=True)
        tail = tail if not after else 0
        time.sleep(1.0)
