"""The gallery: what a new site may begin from."""

from __future__ import annotations

from sitewright.cli.session import JsonOption, connected


def templates(as_json: JsonOption = False) -> None:
    """List the templates that a site can be made from: `sitewright sites create NAME --template TEMPLATE`."""
    from sitewright.cli.output import print_json, print_table  # noqa: PLC0415

    with connected() as client:
        items = list(client.items("/templates"))
    if as_json:
        print_json(items)
        return
    rows = [[item.get("name"), item.get("title"), item.get("language"), item.get("description")] for item in items]
    print_table(("template", "title", "language", "what it is"), rows, empty="This platform offers no templates.")
