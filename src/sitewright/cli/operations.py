"""Operations: everything that takes longer than a request, with its steps."""

from __future__ import annotations

from typing import Annotated

import typer

from sitewright.cli.session import JsonOption, NoWaitOption, SiteArgument, connected, finish

app = typer.Typer(help="Watch, cancel and retry what the platform is doing for you.", no_args_is_help=True)
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The operation's id.", show_default=False)]


def _path(operation: str, rest: str = "") -> str:
    from urllib.parse import quote  # noqa: PLC0415

    return f"/operations/{quote(operation, safe='')}{rest}"


@app.command("list")
def list_operations(name: SiteArgument, as_json: JsonOption = False) -> None:
    """List a site's operations, the newest first."""
    from sitewright.cli.output import print_json, print_table, when  # noqa: PLC0415
    from sitewright.cli.session import site_path  # noqa: PLC0415

    with connected() as client:
        items = list(client.items(site_path(name, "/operations")))
    if as_json:
        print_json(items)
        return
    rows = [[o["id"], o["kind"], o["state"], when(o.get("created_at")), o.get("created_by")] for o in items]
    print_table(("id", "what", "state", "since", "by"), rows, empty="Nothing was done yet.")


@app.command()
def show(operation: IdArgument, as_json: JsonOption = False) -> None:
    """Show one operation and its steps."""
    from sitewright.cli.output import print_fields, print_json, print_table, when  # noqa: PLC0415

    with connected() as client:
        body = client.get(_path(operation))
    if as_json:
        print_json(body)
        return
    error = body.get("error") or {}
    fields = [("Operation", body["id"]), ("What", body["kind"]), ("Site", body.get("site")), ("State", body["state"])]
    fields += [("Since", when(body.get("created_at"))), ("Ended", when(body.get("finished_at"))), ("By", body.get("created_by"))]
    fields += [(title, error[key]) for title, key in (("Error", "message"), ("Why", "details"), ("Do", "resolution")) if error.get(key)]
    print_fields(fields)
    print()
    print_table(("step", "state", "detail"), [[s["title"], s["state"], s.get("detail")] for s in body.get("steps", [])], empty="No steps.")


@app.command()
def cancel(operation: IdArgument) -> None:
    """Cancel an operation; what was online stays online."""
    with connected() as client:
        client.post(_path(operation, "/cancel"))
    typer.echo("Cancelled.")


@app.command()
def retry(operation: IdArgument, no_wait: NoWaitOption = False) -> None:
    """Run a failed or cancelled operation again, from the step that failed."""
    with connected() as client:
        answer = client.post(_path(operation, "/retry"))
        finish(client, answer if "operation" in answer else {"operation": answer}, no_wait=no_wait, done="Done.")
