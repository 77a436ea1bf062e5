"""What a site's processes write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sitewright.cli.session import JsonOption, SiteArgument, connected, site_path

if TYPE_CHECKING:
    from sitewright.cli.client import Client


def logs(
    name: SiteArgument,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what is written from now; Ctrl-C ends it.")] = False,
    process: Annotated[str, typer.Option(help="Only this process type, such as web.")] = "",
    tail: Annotated[int, typer.Option(min=0, max=10_000, help="How many of the last lines.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """Print what a site's processes have written."""
    with connected() as client:
        if follow:
            _follow(client, name, process=process, tail=tail, as_json=as_json)
            return
        page = client.get(site_path(name, "/logs"), process=process or None, tail=tail)
    if as_json:
        from sitewright.cli.output import print_json  # noqa: PLC0415

        print_json(page.get("items", []))
        return
    for line in page.get("items", []):
        _print(line)


def _print(line: dict[str, Any]) -> None:
    from sitewright.cli.output import terminal_text, when  # noqa: PLC0415

    head = " ".join(part for part in (when(line.get("at")), str(line.get("process") or "")) if part)
    print(f"{head}  {terminal_text(str(line.get('text', '')))}", flush=True)


def _follow(client: Client, name: str, *, process: str, tail: int, as_json: bool) -> None:
    """Stream lines, over restarts of the manager too; after a break only new lines are asked for."""
    import json  # noqa: PLC0415
    import time  # noqa: PLC0415

    from sitewright.errors import UnavailableError  # noqa: PLC0415

    while True:
        try:
            for event, line in client.events(site_path(name, "/logs/stream"), process=process or None, tail=tail):
                if event == "line" and as_json:
                    print(json.dumps(line, ensure_ascii=False), flush=True)
                elif event == "line":
                    _print(line)
        except UnavailableError:
            typer.echo("(the connection broke; trying again)", err=True)
        tail = 0
        time.sleep(1.0)
