"""Asking the node to fetch, and remembering what was over there. What opens the repository goes by the bus and nowhere else."""

from __future__ import annotations

from datetime import timedelta
from random import Random

from django.conf import settings

from sitewright.bus.messages import Credential, RepositoryFetch, RepositoryFetched
from sitewright.errors import SitewrightError
from sitewright.manager.bus import NodeClient
from sitewright.manager.keys import decrypt
from sitewright.manager.operations.claims import moment
from sitewright.manager.repositories.models import Connection, Vendor
from sitewright.manager.repositories.vendors import scheme
from sitewright.manager.runtime import runtime
from sitewright.manager.sites.models import Channel

SECONDS = 15.0
HOOKED_SECONDS = 6 * 3600.0
"""How often a repository with web hooks is looked at all the same: one that was lost, or brought the same twice, then does no harm."""


class FetchError(SitewrightError):
    """The repository could not be fetched."""

    code = "fetch_failed"


def fetch(connection: Connection, channel: Channel, refs: tuple[str, ...], request: str) -> RepositoryFetched:
    """The node's answer, perhaps that it still runs; *request* names the fetch. Raises UnavailableError."""
    asked = RepositoryFetch(
        site_id=channel.site_id,
        number=channel.site.number,
        url=connection.url,
        refs=refs,
        credential=credential(connection),
        request=request,
        team_id=str(connection.site.team_id),
    )
    return NodeClient(runtime().bus, channel.node).ask("git.fetch", asked, RepositoryFetched, SECONDS)


def credential(connection: Connection) -> Credential | None:
    """What opens the repository; None for a public one. A plain server's token may be `name:password`."""
    if connection.url.startswith("ssh://"):
        key = decrypt(settings.ENCRYPTION_KEYS, connection.sealed_deploy_key)
        return Credential(ssh_key=key, known_hosts=connection.known_hosts)
    if not connection.sealed_token:
        return None
    token = decrypt(settings.ENCRYPTION_KEYS, connection.sealed_token)
    if connection.vendor == Vendor.PLAIN.value and ":" in token:
        user, _, token = token.partition(":")
        return Credential(user=user, password=token)
    return Credential(user=scheme(connection.vendor).git_user, password=token)


def failed(connection: Connection, answer: RepositoryFetched) -> FetchError:
    """Why, in words; also shown with the connection until a fetch succeeds."""
    problem = answer.problem or "The repository could not be fetched."
    Connection.objects.filter(id=connection.id).update(problem=problem[:1000])
    resolution = "Add the deploy key over there." if connection.deploy_key else "Check the address, and that the token may read it."
    return FetchError(problem, details=answer.details, resolution=resolution)


def look_again(connection: Connection) -> None:
    """Put down when it is looked at next: spread by a quarter, so that not all are at once."""
    usual = HOOKED_SECONDS if connection.vendor != Vendor.PLAIN.value else float(settings.PLATFORM.poll_seconds)
    jitter = Random().uniform(0.875, 1.125)  # noqa: S311 - nothing depends on its being unguessable
    at = moment(runtime().clock.now()) + timedelta(seconds=usual * jitter)
    Connection.objects.filter(id=connection.id).update(look_at=at)
