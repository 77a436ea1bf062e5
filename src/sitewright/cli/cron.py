"""Processes that run at times of their own."""

from __future__ import annotations

from typing import Any

from sitewright.cli.session import ChannelOption, JsonOption, SiteArgument, connected, site_path


def cron(name: SiteArgument, channel: ChannelOption = "", as_json: JsonOption = False) -> None:
    """List a site's cron processes: when each runs next and how the last run went."""
    from sitewright.cli.output import print_json, print_table, when  # noqa: PLC0415

    with connected() as client:
        items = list(client.items(site_path(name, "/crons", channel=channel)))
    if as_json:
        print_json(items)
        return
    rows = [[c.get("process"), _schedule(c), when(c.get("next_at")), when(c.get("last_at")), _result(c)] for c in items]
    empty = "It has no cron process. A Procfile line such as `cron-tidy: @daily python tidy.py` makes one."
    print_table(("process", "schedule", "next", "last", "how it went"), rows, empty=empty)


def _schedule(cron: dict[str, Any]) -> str:
    zone = str(cron.get("timezone") or "UTC")
    return f"{cron.get('schedule') or ''} {zone}{' overlap' if cron.get('overlap') else ''}".strip()


def _result(cron: dict[str, Any]) -> str:
    if cron.get("running"):
        return "running"
    if not cron.get("last_at"):
        return "not run yet"
    seconds = float(cron.get("last_seconds") or 0)
    result = str(cron.get("last_result") or "")
    return f"{result} ({seconds:.1f} s)" if seconds else result
