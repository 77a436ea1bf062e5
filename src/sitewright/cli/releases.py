"""Releases: what was online when, by whom, and what lies between two of them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sitewright.cli.groups import ListsByDefault
from sitewright.cli.session import ChannelOption, JsonOption, SiteArgument, connected, site_path

app = typer.Typer(help="List a site's releases: `sitewright releases NAME`; compare two of them.", no_args_is_help=True, cls=ListsByDefault)
COLUMNS = ("release", "made", "by", "commit", "what", "changed", "size", "built in", "kept")
DIGITS = 10
"""Of a commit, as they are shown."""


@app.command("list")
def list_releases(name: SiteArgument, channel: ChannelOption = "", as_json: JsonOption = False) -> None:
    """List a site's releases, the newest first."""
    from sitewright.cli.output import print_json, print_table  # noqa: PLC0415

    with connected() as client:
        items = list(client.items(site_path(name, "/releases", channel=channel)))
    if as_json:
        print_json(items)
        return
    print_table(COLUMNS, [_row(release) for release in items], empty="It has no release yet.")


def _row(release: dict[str, Any]) -> list[Any]:
    from sitewright.cli.output import when  # noqa: PLC0415

    return [
        release.get("number"),
        when(release.get("created_at")),
        str(release.get("author") or release.get("created_by") or "").partition(" <")[0],
        str(release.get("commit") or "")[:DIGITS],
        release.get("subject") or "",
        changed(release.get("changes") or {}),
        megabytes(release.get("size_bytes")),
        _seconds(release.get("build_seconds")),
        "online" if release.get("live") else "yes" if release.get("kept") else "no",
    ]


def changed(changes: dict[str, Any]) -> str:
    """`3 files, +10 −2`, "" when nothing is known."""
    files = changes.get("files")
    if files is None:
        return ""
    count = files if isinstance(files, int) else len(files)
    return f"{count} {'file' if count == 1 else 'files'}, +{changes.get('added') or 0} −{changes.get('removed') or 0}"


def megabytes(size: Any) -> str:
    """A size in bytes for people."""
    amount = int(size or 0)
    if not amount:
        return ""
    return f"{amount / 1_000_000:.1f} MB" if amount >= 1_000_000 else f"{max(amount // 1000, 1)} kB"


def _seconds(seconds: Any) -> str:
    return f"{float(seconds):.1f} s" if seconds else ""


@app.command()
def diff(
    name: SiteArgument,
    old: Annotated[int, typer.Argument(metavar="A", min=1, help="The older release's number.", show_default=False)],
    new: Annotated[int, typer.Argument(metavar="B", min=1, help="The newer release's number.", show_default=False)],
    channel: ChannelOption = "",
    as_json: JsonOption = False,
) -> None:
    """Say what lies between two releases: commits, files, and the names of the variables that differ."""
    from sitewright.cli.output import print_json  # noqa: PLC0415

    with connected() as client:
        changes = client.get(site_path(name, f"/releases/{new}/changes", channel=channel), since=old)
        variables = client.get(site_path(name, f"/releases/{old}/env-diff", channel=channel), to=new)
    if as_json:
        print_json({"changes": changes, "variables": variables})
        return
    print_changes(changes)
    print()
    rows = [[kind, variable] for kind in ("added", "changed", "removed") for variable in variables.get(kind) or ()]
    from sitewright.cli.output import print_table  # noqa: PLC0415

    print_table(("", "variable"), rows, empty="The variables are the same.")


def print_changes(changes: dict[str, Any]) -> None:
    """Commits and files that lie between two states of a repository."""
    from sitewright.cli.output import print_table, when  # noqa: PLC0415

    commits = [
        [str(c.get("id"))[:DIGITS], when(c.get("at")), str(c.get("author") or "").partition(" <")[0], c.get("subject")]
        for c in changes.get("commits") or ()
    ]
    print_table(("commit", "when", "by", "what"), commits, empty="No commit lies between them.")
    print()
    files = [[f.get("kind"), _lines(f), f.get("path")] for f in changes.get("files") or ()]
    print_table(("", "lines", "file"), files, empty="No file differs.")
    if changes.get("more"):
        print(f"… and {changes['more']} more.")


def _lines(file: dict[str, Any]) -> str:
    added, removed = int(file.get("added") or 0), int(file.get("removed") or 0)
    return "binary" if added < 0 or removed < 0 else f"+{added} −{removed}"
