"""The sample site that the very first `up` makes: a guestbook from the built-in template."""

from __future__ import annotations

import time
from typing import Any

from sitewright.cli.client import Client
from sitewright.cli.place import local_place
from sitewright.config.settings import Settings
from sitewright.errors import BuildError, NotFoundError, UnavailableError
from sitewright.system.files import write_atomic
from sitewright.up.health import answers, wait_for
from sitewright.up.screen import Screen

SAMPLE = "guestbook"
DEPLOY_SECONDS = 150.0
ANSWER_SECONDS = 30.0


def ensure_sample(settings: Settings, screen: Screen) -> str:
    """The sample's address, made on the first call for this data folder; "" when its owner has deleted it. Raises SitewrightError."""
    marker = settings.paths.node / "sample"
    host = f"{SAMPLE}.{settings.domain}"
    with Client(local_place(settings)) as client:
        if marker.exists():
            return settings.url(host) if _exists(client) else ""
        with screen.step(f"Building the sample site {SAMPLE}"):
            _await_operation(client, str(_begin(client)["id"]))
            wait_for(
                f"The site {settings.url(host)}",
                lambda: answers(settings, host, "/"),
                ANSWER_SECONDS,
                f"`sitewright logs {SAMPLE}` says more.",
            )
    write_atomic(marker, b"made\n")
    return settings.url(host)


def _exists(client: Client) -> bool:
    try:
        client.get(f"/sites/{SAMPLE}")
    except NotFoundError:
        return False
    return True


def _begin(client: Client) -> dict[str, Any]:
    """The operation that makes the sample: the one under way, a new deploy of a site whose first one failed, or a new site."""
    source = {"kind": "template", "name": "guestbook"}
    try:
        site = client.get(f"/sites/{SAMPLE}")
    except NotFoundError:
        made: dict[str, Any] = client.post("/sites", {"name": SAMPLE, "source": source})["operation"]
        return made
    under_way: dict[str, Any] | None = site.get("operation")
    if under_way is None:
        under_way = client.post(f"/sites/{SAMPLE}/deploys", {"source": source})["operation"]
    return under_way


def _await_operation(client: Client, operation_id: str) -> None:
    deadline = time.monotonic() + DEPLOY_SECONDS
    while time.monotonic() < deadline:
        operation = client.get(f"/operations/{operation_id}")
        if operation["state"] == "succeeded":
            return
        if operation["state"] in {"failed", "cancelled"}:
            error = operation.get("error") or {}
            raise BuildError(error.get("message", ""), details=error.get("details", ""), resolution=error.get("resolution", ""))
        time.sleep(0.2)
    raise UnavailableError(f"The sample was not ready within {DEPLOY_SECONDS:.0f} s.", resolution=f"`sitewright logs {SAMPLE}` says more.")
