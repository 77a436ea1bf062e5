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


def down() -> None:
    """Stop the platform of this machine: its parts and all running instances. Sites and data stay."""
    _become("down")


def doctor(as_json: JsonOption = False) -> None:
    """Check this machine and the platform on it, and say in words what is wrong and what to do."""
    _become("doctor", *(["--json"] if as_json else []))


def status(as_json: JsonOption = False) -> None:
    """Say how the platform is: its parts, its nodes and how many sites run."""
    from sitewright.cli.output import print_fields, print_json  # noqa: PLC0415

    with connected() as client:
        body = client.get("/status")
        url = client.place.url
    if as_json:
        print_json({**body, "url": url})
        return
    print_fields([("platform", url), *((name.replace("_", " "), _words(value)) for name, value in body.items() if name != "url")])


def _words(value: object) -> str:
    """A value of the status for people: lists and mappings become one line."""
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_words(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return "; ".join(_words(inner) for inner in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
