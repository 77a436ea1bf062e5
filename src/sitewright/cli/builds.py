"""Builds: the queue, the log, what was installed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sitewright.cli.groups import ListsByDefault
from sitewright.cli.session import ChannelOption, JsonOption, SiteArgument, connected, segment, site_path

app = typer.Typer(help="Builds of a site: `sitewright builds NAME` lists them.", no_args_is_help=True, cls=ListsByDefault)
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The build's id.", show_default=False)]


def _path(build: str, rest: str = "") -> str:
    return f"/builds/{segment(build)}{rest}"


@app.command("list")
def list_builds(name: SiteArgument, channel: ChannelOption = "", as_json: JsonOption = False) -> None:
    """List a site's builds, the newest first."""
    from sitewright.cli.output import print_json, print_table, when  # noqa: PLC0415

    with connected() as client:
        items = list(client.items(site_path(name, "/builds", channel=channel)))
    if as_json:
        print_json(items)
        return
    rows = [
        [b.get("id"), b.get("state"), when(b.get("created_at")), _took(b), b.get("channel"), b.get("pack") or b.get("message")]
        for b in items
    ]
    print_table(("id", "state", "when", "took", "channel", ""), rows, empty="Nothing was built yet.")


def _took(build: dict[str, Any]) -> str:
    seconds = build.get("seconds")
    return f"{float(seconds):.1f} s" if seconds else ""


@app.command()
def show(build: IdArgument, as_json: JsonOption = False) -> None:
    """Show one build: how far it is, and its place in the queue."""
    from sitewright.cli.output import print_fields, print_json, when  # noqa: PLC0415

    with connected() as client:
        body = client.get(_path(build))
    if as_json:
        print_json(body)
        return
    fields = [
        ("Build", body.get("id")),
        ("Site", body.get("site")),
        ("State", body.get("state")),
        ("Place in the queue", body.get("position") or ""),
        ("Begins in about", f"{float(body['wait_seconds']):.0f} s" if body.get("wait_seconds") else ""),
        ("Asked for", when(body.get("created_at"))),
        ("Began", when(body.get("started_at"))),
        ("Ended", when(body.get("finished_at"))),
        ("Error", body.get("message")),
        ("Why", body.get("details")),
        ("Do", body.get("resolution")),
    ]
    print_fields([field for field in fields if field[1]])


@app.command()
def cancel(build: IdArgument) -> None:
    """Cancel a build; what was online stays online."""
    with connected() as client:
        client.post(_path(build, "/cancel"))
    typer.echo("Cancelled.")


@app.command()
def log(
    build: IdArgument,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the build ends.")] = False,
) -> None:
    """Print a build's log."""
    from sitewright.cli.output import terminal_text  # noqa: PLC0415

    with connected() as client:
        if follow:
            for event in client.events(_path(build, "/logs/stream")):
                if event.kind == "line":
                    print(terminal_text(str(event.data.get("text", ""))), flush=True)
                elif event.kind in {"end", "problem"}:
                    return
            return
        for line in client.get(_path(build, "/logs")).get("lines") or ():
            print(terminal_text(str(line.get("text", ""))))


@app.command()
def search(
    build: IdArgument,
    text: Annotated[str, typer.Argument(help="What the lines hold; upper and lower case are the same.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Print the lines of a build's log that hold a text."""
    from sitewright.cli.output import print_json, terminal_text  # noqa: PLC0415

    with connected() as client:
        body = client.get(_path(build, "/search"), text=text)
    lines = body.get("lines") or []
    if as_json:
        print_json(lines)
        return
    for line in lines:
        print(terminal_text(str(line.get("text", ""))))
    if not lines:
        typer.echo("No line holds that.", err=True)


@app.command()
def sbom(
    build: IdArgument,
    cyclonedx: Annotated[bool, typer.Option("--cyclonedx", help="Print CycloneDX JSON, for programs that look for known holes.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List what a build installed, and from where."""
    from sitewright.cli.output import print_json, print_table  # noqa: PLC0415

    with connected() as client:
        body = client.get(_path(build, "/artefacts"), format="cyclonedx" if cyclonedx else None)
    if as_json or cyclonedx:
        print_json(body)
        return
    rows = [[c.get("name"), c.get("version"), c.get("origin"), c.get("purl")] for c in body["items"]]
    print_table(("name", "version", "from", "package"), rows, empty="It installed nothing.")


def queue(as_json: JsonOption = False) -> None:
    """Show which builds run and which wait, in the order of their turn."""
    from sitewright.cli.output import print_json, print_table  # noqa: PLC0415

    with connected() as client:
        body = client.get("/queue")
    items = body.get("items") or []
    if as_json:
        print_json(items)
        return
    rows = [[b.get("position") or "now", b.get("site"), b.get("team"), b.get("state"), _wait(b), b.get("id")] for b in items]
    print_table(("place", "site", "team", "state", "begins in about", "id"), rows, empty="Nothing of yours is built now.")
    if body.get("others"):
        print(f"\nOther teams' builds: {body['others']}.")


def _wait(build: dict[str, Any]) -> str:
    return f"{float(build['wait_seconds']):.0f} s" if build.get("wait_seconds") else ""
