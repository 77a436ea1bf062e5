"""Plans: what the sites of a team may use."""

from __future__ import annotations

from typing import Any

from sitewright.cli.session import JsonOption, connected


def plans(as_json: JsonOption = False) -> None:
    """List the plans that a team can have: memory, processors, visitors and sleep of its sites."""
    from sitewright.cli.output import print_json, print_table  # noqa: PLC0415

    with connected() as client:
        items = list(client.items("/plans"))
    if as_json:
        print_json(items)
        return
    columns = ("plan", "memory", "processors", "disk", "requests a second", "sleeps")
    print_table(columns, [_row(plan) for plan in items], empty="The platform has no plans.")


def _row(plan: dict[str, Any]) -> list[Any]:
    millicores = plan.get("cpu_millicores")
    return [
        plan.get("name"),
        _megabytes(plan.get("memory_mb")),
        f"{millicores / 1000:g}" if millicores else "",
        _megabytes(plan.get("disk_mb")),
        plan.get("requests_per_second") or "",
        _sleeps(plan),
    ]


def _megabytes(amount: Any) -> str:
    return f"{amount} MB" if amount else ""


def _sleeps(plan: dict[str, Any]) -> str:
    from sitewright.cli.amounts import duration  # noqa: PLC0415

    freeze, stop = float(plan.get("freeze_after_seconds") or 0), float(plan.get("stop_after_seconds") or 0)
    if not freeze and not stop:
        return "when its owner wants" if plan.get("always_on") else "never"
    parts = [f"{verb} after {duration(seconds)}" for verb, seconds in (("frozen", freeze), ("stopped", stop)) if seconds]
    return ", ".join(parts)
