"""Sleep: when a site without visitors frees what it uses, and waking it by hand."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from sitewright.cli.session import (
    ChannelOption,
    JsonOption,
    NoWaitOption,
    SiteArgument,
    called,
    chosen_channel,
    connected,
    finish,
    seen,
    site_path,
)

STAGES = {"awake": "awake", "dozing": "falling asleep", "frozen": "frozen", "stopped": "asleep, stopped"}
WAKE_SECONDS = 20.0
LOOK_SECONDS = 0.1


def sleep(
    name: SiteArgument,
    freeze_after: Annotated[
        str, typer.Option(metavar="DURATION", help="Freeze after that long without a visitor: 90s, 10m; never with 0.", show_default=False)
    ] = "",
    stop_after: Annotated[
        str, typer.Option(metavar="DURATION", help="Stop after that long without a visitor: 2h; never with 0.", show_default=False)
    ] = "",
    never: Annotated[
        bool | None,
        typer.Option("--never/--default", help="Keep it running always, where its team's plan allows it / sleep as that plan says."),
    ] = None,
    as_json: JsonOption = False,
    no_wait: NoWaitOption = False,
) -> None:
    """Show whether a site sleeps and what that saves, or set when it does. The next visitor wakes it and is served."""
    channel = chosen_channel()
    wanted = _wanted(freeze_after, stop_after, never=never)
    with connected() as client:
        if wanted is None:
            site = seen(client, name, channel)
            _show(site, client.get(site_path(name, "/settings", channel=channel)), as_json=as_json)
            return
        answer = client.request("PATCH", site_path(name, "/settings", channel=channel), json={"sleep": wanted})
        finish(client, answer, no_wait=no_wait, done=_said(called(name, channel), wanted))


def wake(name: SiteArgument, channel: ChannelOption = "", no_wait: NoWaitOption = False) -> None:
    """Wake a sleeping site, as its next visitor would."""
    with connected() as client:
        answer = client.post(site_path(name, "/wake", channel=channel))
        site = seen(client, name, channel) if channel else answer
        deadline = time.monotonic() + WAKE_SECONDS
        while not no_wait and _stage(site) != "awake" and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
            site = seen(client, name, channel)
    typer.echo(
        f"{called(name, channel)} is awake."
        if _stage(site) == "awake"
        else f"{called(name, channel)} is waking; `sitewright sleep {name}` says how far it is."
    )


def _stage(site: dict[str, Any]) -> str:
    return str(((site.get("channel") or {}).get("sleep") or {}).get("stage") or "awake")


def _wanted(freeze_after: str, stop_after: str, *, never: bool | None) -> dict[str, float | None] | str | None:
    """The sleep setting as the API wants it; None when nothing is to be changed. Raises InvalidValueError."""
    from sitewright.cli.amounts import seconds_of  # noqa: PLC0415
    from sitewright.errors import InvalidValueError  # noqa: PLC0415

    if never is not None and (freeze_after or stop_after):
        raise InvalidValueError("Only one of these can be meant.", resolution="Give durations, or --never, or --default.")
    if never is not None:
        return "never" if never else "default"
    if not freeze_after and not stop_after:
        return None
    wanted: dict[str, float | None] = {}
    if freeze_after:
        wanted["freeze_after_seconds"] = seconds_of(freeze_after)
    if stop_after:
        wanted["stop_after_seconds"] = seconds_of(stop_after)
    return wanted


def _said(name: str, wanted: dict[str, float | None] | str) -> str:
    from sitewright.cli.amounts import duration  # noqa: PLC0415

    if wanted == "never":
        return f"{name} never sleeps."
    if not isinstance(wanted, dict):
        return f"{name} sleeps as the plan of its team says."
    parts = [f"{verb} after {duration(seconds)}" if seconds else f"never {verb}" for verb, seconds in _steps(wanted) if seconds is not None]
    return f"{name} without visitors: {', '.join(parts)}."


def _steps(sleep: dict[str, float | None]) -> list[tuple[str, float | None]]:
    return [("frozen", sleep.get("freeze_after_seconds")), ("stopped", sleep.get("stop_after_seconds"))]


def _show(site: dict[str, Any], settings: dict[str, Any], *, as_json: bool) -> None:
    from sitewright.cli.amounts import duration  # noqa: PLC0415
    from sitewright.cli.output import print_fields, print_json, when  # noqa: PLC0415

    channel = site.get("channel") or {}
    told = channel.get("sleep") or {}
    policy = settings.get("sleep") or {}
    if as_json:
        print_json({**told, "settings": policy, "last_request_at": channel.get("last_request_at")})
        return
    stage = _stage(site)
    saved = int(told.get("saved_bytes") or 0)
    fields: list[tuple[str, Any]] = [("Now", STAGES.get(stage, stage))]
    if stage != "awake":
        fields += [("Since", when(told.get("since"))), ("Memory saved", f"{saved / 1_000_000:.0f} MB" if saved else "")]
    fields += [("Last visitor", when(channel.get("last_request_at")) or "not yet")]
    fields += [
        ("Freezes after", duration(float(policy.get("freeze_after_seconds") or 0))),
        ("Stops after", duration(float(policy.get("stop_after_seconds") or 0))),
        ("Set by", {"default": "the plan of the team", "never": "the site: never", "own": "the site"}.get(str(policy.get("source")), "")),
    ]
    print_fields([field for field in fields if field[1] != ""])
