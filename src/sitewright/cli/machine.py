"""The platform on this machine: up, down, doctor; and the status of whichever platform is current."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import Annotated

import typer

from sitewright.cli.session import JsonOption, connected


class Engine(StrEnum):
    """What runs instances."""

    SANDBOX = "sandbox"
    DOCKER = "docker"


def _become(verb: str, *arguments: str, settings: dict[str, str] | None = None) -> None:
    """Hand this process over to the platform's own program; it is no part of the client and imports far more."""
    os.environ.update(settings or {})
    os.execv(sys.executable, [sys.executable, "-P", "-m", "sitewright.up", verb, *arguments])  # noqa: S606


def up(
    engine: Annotated[Engine | None, typer.Option(help="What runs the sites (SITEWRIGHT_ENGINE).", show_default="sandbox")] = None,
    http_port: Annotated[int, typer.Option(min=0, max=65535, help="The port to serve on (SITEWRIGHT_HTTP_PORT).", show_default="8000")] = 0,
    domain: Annotated[str, typer.Option(help="Sites are NAME.DOMAIN (SITEWRIGHT_DOMAIN).", show_default="localhost")] = "",
    home: Annotated[str, typer.Option(help="The data folder (SITEWRIGHT_HOME).", show_default="/var/lib/sitewright as root")] = "",
    sample: Annotated[bool, typer.Option("--sample/--no-sample", help="Make a sample site the first time.")] = True,
) -> None:
    """Start the whole platform on this machine and stay in the foreground; Ctrl-C stops it cleanly.

    Every setting can be given in the environment; an option wins. The first start prepares folders, accounts and keys.
    """
    settings = {
        "SITEWRIGHT_ENGINE": str(engine) if engine else "",
        "SITEWRIGHT_HTTP_PORT": str(http_port) if http_port else "",
        "SITEWRIGHT_DOMAIN": domain,
        "SITEWRIGHT_HOME": home,
    }
    arguments = [] if sample else ["--no-sample"]
    _become("up", *arguments, settings={name: value for name, value in settings.items() if value})


def restart() -> None:
    """Replace every part of the running platform by the present version, one after the other; no request fails meanwhile."""
    _become("restart")


def down() -> None:
    """Stop the platform of this machine: its parts and all running instances. Sites and data stay."""
    _become("down")


def doctor(as_json: JsonOption = False) -> None:
    """Check this machine and the platform on it, and say in words what is wrong and what to do."""
    _become("doctor", *(["--json"] if as_json else []))


def status(as_json: JsonOption = False) -> None:
    """Say how the platform is: its parts, its nodes and how many sites run."""
    from sitewright.cli.output import print_fields, print_json, print_table  # noqa: PLC0415

    with connected() as client:
        body = client.get("/status")
        url = client.place.url
    if as_json:
        print_json({**body, "url": url})
        return
    down = [check for check in body.get("checks", []) if not check.get("ok")]
    sites = ", ".join(f"{count} {state}" for state, count in body.get("sites", {}).items())
    print_fields(
        [("Platform", url), ("Version", body.get("version")), ("Sites", sites or "none"), ("State", "in trouble" if down else "well")]
    )
    print()
    checks = [[check["name"], "well" if check["ok"] else "down", check.get("note")] for check in body.get("checks", [])]
    print_table(("part", "state", "note"), checks, empty="The manager names no parts.")
    print()
    nodes = [[node["name"], node.get("engine"), _seconds(node.get("heartbeat_age")), _memory(node)] for node in body.get("nodes", [])]
    print_table(("node", "engine", "heard", "memory"), nodes, empty="No node has spoken yet.")


def _seconds(age: object) -> str:
    return f"{age:.0f} s ago" if isinstance(age, int | float) else "never"


def _memory(node: dict[str, object]) -> str:
    used, total = node.get("memory_used"), node.get("memory_total")
    if not isinstance(used, int) or not isinstance(total, int) or not total:
        return ""
    return f"{used / 1024**3:.1f} of {total / 1024**3:.1f} GB"
