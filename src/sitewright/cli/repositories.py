"""Connected repositories: where a site takes its code from, what its web hooks brought, branches, previews."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sitewright.cli.groups import ListsByDefault
from sitewright.cli.session import JsonOption, NoWaitOption, SiteArgument, connected, finish, segment, site_path
from sitewright.domain.channel import Previews

deliveries = typer.Typer(help="What web hooks brought: `sitewright deliveries NAME` lists it.", no_args_is_help=True, cls=ListsByDefault)
previews = typer.Typer(
    help="Previews of branches and pull requests: `sitewright previews NAME` lists them.", no_args_is_help=True, cls=ListsByDefault
)
DIGITS = 10
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Its id in the list.", show_default=False)]


def branches(name: SiteArgument, as_json: JsonOption = False) -> None:
    """List the branches of a site's repository, and which channel follows which."""
    from sitewright.cli.output import print_json, print_table, when  # noqa: PLC0415

    with connected() as client:
        items = list(client.items(site_path(name, "/branches")))
    if as_json:
        print_json(items)
        return
    rows = []
    for branch in items:
        commit = branch.get("commit") or {}
        rows.append(
            [
                branch.get("name"),
                str(commit.get("id") or "")[:DIGITS],
                when(commit.get("at")),
                str(commit.get("author") or "").partition(" <")[0],
                commit.get("subject"),
                branch.get("channel"),
            ]
        )
    print_table(
        ("branch", "commit", "when", "by", "what", "channel"), rows, empty="Nothing was pushed yet. `sitewright git NAME` says how."
    )


def connect(
    name: SiteArgument,
    url: Annotated[
        str, typer.Argument(metavar="[URL]", help="The repository: https://… or ssh://…; shows the connection when left out.")
    ] = "",
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A file that holds the access token; - for standard input.", show_default=False)
    ] = None,
    vendor: Annotated[str, typer.Option(help="github, gitlab, gitea or plain; found out from the address when left out.")] = "",
    branch: Annotated[str, typer.Option(help="What production follows; the repository's default branch when left out.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Take a site's code from a repository elsewhere: GitHub, GitLab, Gitea, Forgejo or any git address."""
    path = site_path(name, "/connection")
    with connected() as client:
        if not url:
            _show(client.get(path), as_json=as_json)
            return
        given = {"vendor": vendor, "branch": branch}
        body: dict[str, Any] = {"url": url} | {key: value for key, value in given.items() if value}
        if token_file is not None:
            body["token"] = read_token(token_file)
        answer = client.request("PUT", path, json=body)
        _show(answer, as_json=as_json)
        if not as_json:
            finish(client, answer, no_wait=False, done=f"{name} has what is over there.")


def disconnect(name: SiteArgument) -> None:
    """Forget a connected repository; the site and its code stay."""
    with connected() as client:
        client.request("DELETE", site_path(name, "/connection"))
    typer.echo(f"{name} is not connected any more.")


def fetch(name: SiteArgument, no_wait: NoWaitOption = False) -> None:
    """Fetch a connected repository now, and deploy what is new on the branches that channels follow."""
    with connected() as client:
        finish(client, client.post(site_path(name, "/connection/fetch")), no_wait=no_wait, done=f"{name} has what is over there.")


def read_token(path: Path) -> str:
    """The one line of that file. Raises InvalidValueError."""
    import sys  # noqa: PLC0415

    from sitewright.errors import InvalidValueError  # noqa: PLC0415

    try:
        text = sys.stdin.read() if str(path) == "-" else path.expanduser().read_text()
    except OSError as error:
        raise InvalidValueError(
            f"“{path}” cannot be read.", details=str(error), resolution="Give the file that holds the token."
        ) from error
    if len(text.split()) != 1:
        raise InvalidValueError(f"“{path}” does not hold one token.", resolution="Put the token alone into the file.")
    return text.strip()


def _show(body: dict[str, Any], *, as_json: bool) -> None:
    from sitewright.cli.output import print_fields, print_json, when  # noqa: PLC0415

    if as_json:
        print_json(body)
        return
    hook = body.get("hook") or {}
    fields = [
        ("Repository", body.get("url")),
        ("Kind", body.get("vendor")),
        ("Branch", body.get("branch")),
        ("Fetched", when(body.get("fetched_at")) or "not yet"),
        ("Problem", body.get("problem")),
        ("Deploy key", body.get("deploy_key")),
        ("Web hook", hook.get("url")),
        ("Its secret", hook.get("secret")),
    ]
    print_fields([field for field in fields if field[1]])
    if hook.get("secret") and not hook.get("made"):
        print("\nOver there: add the deploy key (reading is enough) and the web hook (JSON; pushes and pull requests).")
        print("Its secret is not shown again.")


@deliveries.command("list")
def list_deliveries(name: SiteArgument, as_json: JsonOption = False) -> None:
    """List what the web hooks of a connected repository brought, the newest first."""
    from sitewright.cli.output import print_json, print_table, when  # noqa: PLC0415

    with connected() as client:
        items = list(client.items(site_path(name, "/deliveries")))
    if as_json:
        print_json(items)
        return
    rows = [[d.get("id"), when(d.get("received_at")), d.get("event"), d.get("summary"), d.get("outcome"), d.get("detail")] for d in items]
    print_table(("id", "when", "event", "what", "outcome", "why"), rows, empty="Nothing was delivered yet.")


@deliveries.command()
def redeliver(name: SiteArgument, delivery: IdArgument) -> None:
    """Act on a delivery once more."""
    with connected() as client:
        client.post(site_path(name, f"/deliveries/{segment(delivery)}/redeliver"))
    typer.echo("Delivered again.")


@previews.command("list")
def list_previews(name: SiteArgument, as_json: JsonOption = False) -> None:
    """List a site's previews, and what waits to be allowed."""
    from sitewright.cli.output import print_json, print_table, when  # noqa: PLC0415

    with connected() as client:
        items = list(client.items(site_path(name, "/previews")))
    if as_json:
        print_json(items)
        return
    rows = []
    for preview in items:
        number = preview.get("number")
        what = f"#{number} {preview.get('title') or ''}".strip() if number else preview.get("branch")
        rows.append(
            [preview.get("id"), what, preview.get("author"), _preview_state(preview), preview.get("url"), when(preview.get("expires_at"))]
        )
    print_table(("id", "of", "by", "state", "address", "until"), rows, empty="There is no preview.")


def _preview_state(preview: dict[str, Any]) -> str:
    if preview.get("waits"):
        # Whole: whoever offers commits can make two that begin alike.
        return f"{preview.get('commit') or ''} waits to be allowed"
    return str(preview.get("state") or "")


@previews.command("set")
def set_previews(
    name: SiteArgument,
    of: Annotated[Previews | None, typer.Option(help="What gets a preview by itself.", show_default=False)] = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=365, help="Remove one after so many days without news.", show_default=False)
    ] = None,
) -> None:
    """Say what gets a preview by itself, and for how long it stays."""
    wanted = {"makes": of and str(of), "days": days}
    with connected() as client:
        body = client.request(
            "PATCH", site_path(name, "/previews"), json={key: value for key, value in wanted.items() if value is not None}
        )
    what = {"off": "Nothing", "pull_requests": "Every pull request", "branches": "Every branch and pull request"}[str(body["makes"])]
    typer.echo(f"{what} gets a preview by itself; one stays for {body['days']} days without news.")


@previews.command()
def allow(
    name: SiteArgument,
    preview: IdArgument,
    commit: Annotated[str, typer.Option(help="The commit that you have looked at; a newer one is then not allowed with it.")] = "",
    no_wait: NoWaitOption = False,
) -> None:
    """Let this very commit of a foreign pull request be built and shown; it never gets secrets, and a later commit waits again."""
    with connected() as client:
        body = {"commit": commit} if commit else {}
        answer = client.post(site_path(name, f"/previews/{segment(preview)}/allow"), body)
        finish(client, answer, no_wait=no_wait, done="It is allowed.")


@previews.command()
def close(name: SiteArgument, preview: IdArgument, no_wait: NoWaitOption = False) -> None:
    """Remove a preview."""
    with connected() as client:
        answer = client.post(site_path(name, f"/previews/{segment(preview)}/close"))
        finish(client, answer, no_wait=no_wait, done="The preview is gone.")
