"""Plans: what the sites of a team may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sitewright.cli.session import JsonOption, connected

if TYPE_CHECKING:
    from sitewright.cli.client import Client


def plans(
    choose: Annotated[str, typer.Option(metavar="PLAN", help="Give this plan to a team; its sites follow by themselves.")] = "",
    team: Annotated[str, typer.Option(help="Which team; your own when left out.")] = "",
    as_json: JsonOption = False,
) -> None:
    """List the plans that a team can have, or choose one: memory, processors, visitors and sleep of its sites."""
    from sitewright.cli.output import print_json, print_table  # noqa: PLC0415

    with connected() as client:
        if choose:
            _choose(client, choose, team)
            return
        items = list(client.items("/plans"))
    if as_json:
        print_json(items)
        return
    columns = ("plan", "memory", "processors", "disk", "requests a second", "sleeps", "may be chosen")
    print_table(columns, [_row(plan) for plan in items], empty="The platform has no plans.")


def _choose(client: Client, plan: str, team: str) -> None:
    """Raises InvalidValueError when it is not known which team is meant."""
    from urllib.parse import quote  # noqa: PLC0415

    from sitewright.errors import InvalidValueError  # noqa: PLC0415

    own = [str(found["name"]) for found in client.items("/teams") if found.get("personal")]
    if not team and not own:
        raise InvalidValueError("You have no team of your own.", resolution="Say which one: --team NAME.")
    changed = client.request("PATCH", f"/teams/{quote(team or own[0], safe='')}", json={"plan": plan})
    typer.echo(f"The team {changed['name']} has the plan {changed['plan']}.")


def _row(plan: dict[str, Any]) -> list[Any]:
    millicores = plan.get("cpu_millicores")
    return [
        plan.get("name"),
        _megabytes(plan.get("memory_mb")),
        f"{millicores / 1000:g}" if millicores else "",
        _megabytes(plan.get("disk_mb")),
        plan.get("requests_per_second") or "",
        _sleeps(plan),
        "yes" if plan.get("open") else "by an administrator",
    ]


def _megabytes(amount: Any) -> str:
    return f"{amount} MB" if amount else ""


def _sleeps(plan: dict[str, Any]) -> str:
    from sitewright.cli.amounts import duration  # noqa: PLC0415

    minutes = (("frozen", plan.get("freeze_after_minutes")), ("stopped", plan.get("stop_after_minutes")))
    parts = [f"{verb} after {duration(float(number) * 60)}" for verb, number in minutes if number]
    return ", ".join([*parts, *(["never where its owner says so"] if plan.get("always_on") else [])]) or "never"
