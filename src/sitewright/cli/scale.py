"""How many copies of each process type run, and what each may use."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sitewright.cli.session import JsonOption, NoWaitOption, SiteArgument, chosen_channel, connected, finish, site_path


def scale(
    name: SiteArgument,
    counts: Annotated[
        list[str] | None, typer.Argument(metavar="[TYPE=COUNT…]", help="Copies of each process type: web=3 worker=1, or web=+1.")
    ] = None,
    memory: Annotated[
        str, typer.Option(metavar="SIZE", help="Memory of each copy of the named types (of web when none is): 512M, 1G.")
    ] = "",
    cpu: Annotated[str, typer.Option(metavar="NUMBER", help="Processors of each copy: 0.5, 2.")] = "",
    as_json: JsonOption = False,
    no_wait: NoWaitOption = False,
) -> None:
    """Show how many copies of each process type run, or change it, without a gap for the visitors."""
    from sitewright.cli.amounts import counts_of  # noqa: PLC0415

    path = site_path(name, "/scale", channel=chosen_channel())
    with connected() as client:
        if not counts and not memory and not cpu:
            _show(client.get(path), as_json=as_json)
            return
        bounds = _bounds(memory, cpu)
        relative = any(word.partition("=")[2][:1] in {"+", "-"} for word in counts or ())
        current = {str(entry["process"]): int(entry["count"]) for entry in client.items(path)} if relative else {}
        numbers = counts_of(counts or [], current)
        wanted: dict[str, dict[str, int]] = {process: {"count": number, **bounds} for process, number in numbers.items()}
        answer = client.request("PATCH", path, json={"processes": wanted or {"web": bounds}})
        said = " ".join(f"{process}={number}" for process, number in numbers.items())
        finish(client, answer, no_wait=no_wait, done=f"{name} runs with {said}." if said else f"{name} runs with its new limits.")


def _bounds(memory: str, cpu: str) -> dict[str, int]:
    from sitewright.cli.amounts import megabytes_of, millicores_of  # noqa: PLC0415

    bounds = {"memory_mb": megabytes_of(memory)} if memory else {}
    return bounds | ({"cpu_millicores": millicores_of(cpu)} if cpu else {})


def _show(body: dict[str, Any], *, as_json: bool) -> None:
    from sitewright.cli.output import print_json, print_table  # noqa: PLC0415

    if as_json:
        print_json(body)
        return
    rows = [_row(entry) for entry in body["items"]]
    print_table(
        ("process", "copies", "ready", "memory each", "processors each"), rows, empty="No process of it runs: its files are served."
    )
    if rows:
        used, most = body.get("team_used_memory_mb"), body.get("team_memory_mb")
        print(f"\nTogether {body.get('memory_mb')} MB; the sites of its team may take {most} MB and take {used} MB.")


def _row(entry: dict[str, Any]) -> list[Any]:
    copies = entry["count"] if not entry.get("fixed") else entry.get("schedule") or "by itself"
    return [entry["process"], copies, entry["ready"], f"{entry['memory_mb']} MB", f"{entry['cpu_millicores'] / 1000:g}"]
