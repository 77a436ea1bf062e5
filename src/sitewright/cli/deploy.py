"""Deploying new code to a site."""

from __future__ import annotations

from typing import Annotated

import typer

from sitewright.cli.session import SOURCE_HELP, JsonOption, NoWaitOption, SiteArgument, connected, finish, site_path


def deploy(
    source: Annotated[str, typer.Argument(metavar="[PATH|GIT|ARCHIVE]", help=SOURCE_HELP)] = ".",
    site: Annotated[str, typer.Option("--site", metavar="NAME", help="The site to deploy to.", show_default=False)] = ...,  # type: ignore[assignment]
    no_wait: NoWaitOption = False,
) -> None:
    """Build a folder, an archive or a git repository and put it online when it works; until then the old release answers."""
    from sitewright.cli.sending import send_with_progress  # noqa: PLC0415

    with connected() as client:
        found = client.get(site_path(site))
        answer = client.post(site_path(site, "/deploys"), {"source": send_with_progress(client, source)})
        finish(client, answer, no_wait=no_wait, done=f"{site} is online: {found.get('url', '')}")


def releases(name: SiteArgument, as_json: JsonOption = False) -> None:
    """List a site's releases, the newest first."""
    from sitewright.cli.output import print_json, print_table, when  # noqa: PLC0415

    with connected() as client:
        items = list(client.items(site_path(name, "/releases")))
    if as_json:
        print_json(items)
        return
    rows = [[r.get("number"), when(r.get("created_at")), str(r.get("commit") or "")[:10], str(r.get("droplet") or "")[:12]] for r in items]
    print_table(("release", "made", "commit", "droplet"), rows, empty="It has no release yet.")
