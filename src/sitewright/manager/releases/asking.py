"""What a node is asked about builds: what one installed, lines of its log, caches; and calling one off."""

from __future__ import annotations

import json

from sitewright.builder.cyclonedx import cyclonedx
from sitewright.bus.messages import Artefacts, BuildQuery, BuildSearch, CacheQuery, CacheReport, LogPage
from sitewright.errors import ConflictError
from sitewright.manager.accounts.models import User
from sitewright.manager.audit.services import trail
from sitewright.manager.bus import NodeClient
from sitewright.manager.operations.access import operation_to_change
from sitewright.manager.operations.models import Operation
from sitewright.manager.operations.services import cancel
from sitewright.manager.releases.models import Build
from sitewright.manager.runtime import runtime
from sitewright.manager.sites.models import Channel

SECONDS = 10.0


def artefacts(build: Build) -> Artefacts:
    """What it installed and from where. Raises UnavailableError."""
    return NodeClient(runtime().bus, build.node).ask("build.artefacts", BuildQuery(build_id=build.id), Artefacts, SECONDS)


def as_cyclonedx(build: Build) -> str:
    """The same as a CycloneDX document."""
    at = (build.finished_at or build.created_at).timestamp()
    return json.dumps(cyclonedx(artefacts(build), build.channel.site.name, str(build.release_number), at), ensure_ascii=False)


def search(build: Build, text: str, limit: int, cursor: str = "") -> LogPage:
    """The lines of its log that hold *text*, whatever the case, after *cursor*. Raises UnavailableError."""
    asked = BuildSearch(build_id=build.id, text=text, limit=limit, cursor=cursor)
    return NodeClient(runtime().bus, build.node).ask("build.search", asked, LogPage, SECONDS)


def caches(channel: Channel) -> CacheReport:
    """What the caches of a site's builds take. Raises UnavailableError."""
    return _caches(channel, clear=False)


def clear_caches(user: User, channel: Channel) -> CacheReport:
    """Delete them."""
    trail(user, "site.caches.cleared", channel.site_id, channel.site.name)
    return _caches(channel, clear=True)


def _caches(channel: Channel, *, clear: bool) -> CacheReport:
    asked = CacheQuery(site_id=channel.site_id, number=channel.site.number, clear=clear)
    return NodeClient(runtime().bus, channel.node).ask("cache.report", asked, CacheReport, SECONDS)


def operation_of(build: Build) -> Operation | None:
    """What it is built for."""
    return Operation.objects.filter(site=build.channel.site, params__found__build__build=build.id).order_by("-created_at").first()


def cancel_build(user: User, build: Build) -> Operation:
    """Call off what it is built for; what was online stays online. Raises ConflictError, ForbiddenError."""
    operation = operation_of(build)
    if operation is None:
        raise ConflictError("This build is over already.")
    return cancel(operation_to_change(user, operation.id))
