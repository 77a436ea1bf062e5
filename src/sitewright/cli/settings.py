"""How a site is served: which visitors stay with one instance, how releases take over, what visitors may use."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sitewright.cli.session import JsonOption, SiteArgument, called, chosen_channel, connected, finish, site_path
from sitewright.domain.desired import Strategy
from sitewright.domain.route import Affinity

LIMITS = {"connections": "connections", "requests": "requests_per_second", "body": "body_mb"}


def settings(
    name: SiteArgument,
    affinity: Annotated[
        Affinity | None, typer.Option(help="Which visitors stay with one instance: those of one host name, one browser, one address.")
    ] = None,
    strategy: Annotated[Strategy | None, typer.Option(help="How a new release takes over.")] = None,
    max_surge: Annotated[
        int | None, typer.Option(min=1, metavar="NUMBER", help="Most instances beside the wanted ones while a release takes over.")
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(metavar="WHAT=AMOUNT", help="What visitors may use: connections=50, requests=20 a second, body=20M; 0: no own bound."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show how a site is served, or change it. `sitewright sleep` says when it sleeps, `sitewright scale` how many instances it has."""
    wanted: dict[str, Any] = {"affinity": affinity and str(affinity), "strategy": strategy and str(strategy), "max_surge": max_surge}
    changed = {key: value for key, value in (wanted | {"visits": _limits(limit or []) or None}).items() if value is not None}
    channel = chosen_channel()
    with connected() as client:
        if not changed:
            _show(client.get(site_path(name, "/settings", channel=channel)), as_json=as_json)
            return
        answer = client.request("PATCH", site_path(name, "/settings", channel=channel), json=changed)
        finish(client, answer, no_wait=False, done=f"{called(name, channel)} is served so now.")


def _limits(words: list[str]) -> dict[str, int]:
    """`connections=50 body=20M` as the API wants them. Raises InvalidValueError."""
    from sitewright.cli.amounts import megabytes_of  # noqa: PLC0415
    from sitewright.errors import InvalidValueError  # noqa: PLC0415

    limits: dict[str, int] = {}
    for word in words:
        what, _, amount = word.partition("=")
        if what == "body" and amount not in {"", "0"}:
            limits[LIMITS[what]] = megabytes_of(amount)
        elif what in LIMITS and amount.isascii() and amount.isdigit():
            limits[LIMITS[what]] = int(amount)
        else:
            raise InvalidValueError(f"“{word}” is not a limit.", resolution="Write connections=50, requests=20 or body=20M.")
    return limits


def _show(body: dict[str, Any], *, as_json: bool) -> None:
    from sitewright.cli.amounts import duration  # noqa: PLC0415
    from sitewright.cli.output import print_fields, print_json  # noqa: PLC0415

    if as_json:
        print_json(body)
        return
    sleep, visits = body.get("sleep") or {}, body.get("visits") or {}
    print_fields(
        [
            ("Freezes after", duration(float(sleep.get("freeze_after_seconds") or 0))),
            ("Stops after", duration(float(sleep.get("stop_after_seconds") or 0))),
            ("Affinity", body.get("affinity")),
            ("Strategy", str(body.get("strategy") or "").replace("_", "/")),
            ("Most more while deploying", body.get("max_surge")),
            ("Requests at a time", visits.get("connections") or "as the platform allows"),
            ("Requests a second", visits.get("requests_per_second") or "as the platform allows"),
            ("Largest body", f"{visits['body_mb']} MB" if visits.get("body_mb") else "as the platform allows"),
        ]
    )
