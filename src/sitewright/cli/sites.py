"""Sites: create, list, show, start, stop, restart, rename, delete, open."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sitewright.cli.session import (
    SOURCE_HELP,
    ChannelOption,
    JsonOption,
    NoWaitOption,
    SiteArgument,
    called,
    connected,
    finish,
    seen,
    site_path,
)

app = typer.Typer(help="Create and look after sites.", no_args_is_help=True)

FromOption = Annotated[str, typer.Option("--from", metavar="PATH|GIT|ARCHIVE|IMAGE", help=SOURCE_HELP)]
COLUMNS = ("name", "state", "url", "mode", "release", "team")


@app.command()
def create(
    name: SiteArgument,
    template: Annotated[str, typer.Option(help="Start from a template of the platform.")] = "",
    source: FromOption = "",
    team: Annotated[str, typer.Option(help="The team that owns it; your own when left out.")] = "",
    live: Annotated[bool, typer.Option("--live", help="Run straight from the folder, so that edits are visible at once.")] = False,
    no_wait: NoWaitOption = False,
) -> None:
    """Create a site and deploy to it: a template, a folder, an archive, git or an image. With none of them it waits for a push."""
    from sitewright.cli.sending import send_with_progress  # noqa: PLC0415
    from sitewright.errors import InvalidValueError  # noqa: PLC0415

    if len([given for given in (template, source) if given]) > 1:
        raise InvalidValueError(
            "A site begins from one thing.",
            resolution="Give --template NAME, or --from with a folder, an archive, a git address or an image.",
        )
    with connected() as client:
        body: dict[str, Any] = {"name": name, "mode": "live" if live else "released"}
        if template:
            body["source"] = {"kind": "template", "name": template}
        elif source:
            body["source"] = send_with_progress(client, source)
        if team:
            body["team"] = team
        answer = client.post("/sites", body)
        done = f"{name} is online: {answer['site'].get('url', '')}"
        if "source" not in body:
            done = f"{name} is there and waits for its code. `sitewright git {name}` says where to push it."
        finish(client, answer, no_wait=no_wait, done=done)


@app.command("list")
def list_sites(search: Annotated[str, typer.Option(help="Only names that contain this.")] = "", as_json: JsonOption = False) -> None:
    """List your sites."""
    from sitewright.cli.output import print_json, print_table  # noqa: PLC0415

    with connected() as client:
        sites = list(client.items("/sites", search=search or None))
    if as_json:
        print_json(sites)
        return
    rows = [[site.get(column) for column in COLUMNS] for site in sites]
    print_table(COLUMNS, rows, empty="There is no site yet. `sitewright sites create NAME --template guestbook` makes one.")


@app.command()
def show(name: SiteArgument, channel: ChannelOption = "", as_json: JsonOption = False) -> None:
    """Show one site: state, address, instances, what is going on."""
    from sitewright.cli.output import print_fields, print_json, print_table, when  # noqa: PLC0415

    with connected() as client:
        site = seen(client, name, channel)
        instances = list(client.items(site_path(name, "/instances", channel=channel)))
    if as_json:
        print_json({**site, "instances": instances})
        return
    operation = site.get("operation") or {}
    print_fields(
        [
            ("Name", site["name"]),
            ("State", site["state"]),
            ("Address", site.get("url")),
            ("Team", site.get("team")),
            ("Mode", site.get("mode")),
            ("Release", site.get("release")),
            ("Created", when(site.get("created_at"))),
            ("Going on", f"{operation['kind']} ({operation['state']})" if operation else "nothing"),
        ]
    )
    print()
    print_table(
        ("process", "state", "since", "instance"),
        [[i.get("process"), i.get("state"), when(i.get("since") or i.get("started_at")), i.get("id")] for i in instances],
        empty="Nothing runs for it." if site["state"] != "running" else "It needs no process: its files are served directly.",
    )


def _power(name: str, channel: str, verb: str, done: str, *, no_wait: bool) -> None:
    with connected() as client:
        finish(client, client.post(site_path(name, f"/{verb}", channel=channel)), no_wait=no_wait, done=f"{called(name, channel)} {done}")


@app.command()
def start(name: SiteArgument, channel: ChannelOption = "", no_wait: NoWaitOption = False) -> None:
    """Start a stopped site."""
    _power(name, channel, "start", "is running.", no_wait=no_wait)


@app.command()
def stop(name: SiteArgument, channel: ChannelOption = "", no_wait: NoWaitOption = False) -> None:
    """Stop a site: its processes end, its files and settings stay."""
    _power(name, channel, "stop", "is stopped.", no_wait=no_wait)


@app.command()
def restart(name: SiteArgument, channel: ChannelOption = "", no_wait: NoWaitOption = False) -> None:
    """Restart a site's processes, without a gap for its visitors."""
    _power(name, channel, "restart", "was restarted.", no_wait=no_wait)


@app.command()
def rename(
    name: SiteArgument,
    new: Annotated[str, typer.Argument(metavar="NEW", help="The new name.", show_default=False)],
    no_wait: NoWaitOption = False,
) -> None:
    """Give a site another name, and with it another address."""
    with connected() as client:
        finish(client, client.request("PATCH", site_path(name), json={"name": new}), no_wait=no_wait, done=f"{name} is called {new} now.")


@app.command()
def delete(
    name: SiteArgument,
    confirm: Annotated[str, typer.Option(metavar="NAME", help="The name again, instead of being asked for it.")] = "",
    no_wait: NoWaitOption = False,
) -> None:
    """Delete a site with its files, data, releases and settings. Asks for the name."""
    import sys  # noqa: PLC0415

    from sitewright.errors import InvalidValueError  # noqa: PLC0415

    if not confirm and sys.stdin.isatty():
        confirm = typer.prompt(f"This deletes {name} with all its files and data. Type its name")
    if confirm != name:
        raise InvalidValueError("Nothing was deleted: the name was not confirmed.", resolution=f"Add --confirm {name}.")
    with connected() as client:
        answer = client.request("DELETE", site_path(name), params={"confirm": confirm})
        finish(client, answer, no_wait=no_wait, done=f"{name} is deleted.")


@app.command("open")
def open_site(name: SiteArgument, channel: ChannelOption = "") -> None:
    """Open a site in the browser; prints the address where there is none."""
    import shutil  # noqa: PLC0415

    with connected() as client:
        url = str(seen(client, name, channel)["url"])
    typer.echo(url)
    if shutil.which("xdg-open"):
        typer.launch(url)
