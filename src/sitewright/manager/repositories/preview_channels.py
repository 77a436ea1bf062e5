"""The channels that previews are shown on: made, named, removed."""

from __future__ import annotations

import hashlib
import re

from django.db import IntegrityError, transaction

from sitewright.domain.channel import ChannelKind
from sitewright.domain.names import ChannelName
from sitewright.errors import ConflictError, QuotaError
from sitewright.manager.accounts.models import User
from sitewright.manager.domains.services import add_default_route
from sitewright.manager.operations.models import Operation
from sitewright.manager.repositories.models import PullRequest
from sitewright.manager.sites.models import Channel, EnvVar
from sitewright.manager.teams.services import check_room

MOST_A_SITE = 20
_SLUG = 11
"""Characters of `preview-` and of this are 19; a channel's name has 20 at most."""
_MARK = 4


def name_for(number: int | None, branch: str) -> ChannelName:
    """`preview-12` for a pull request, `preview-new-menu` for a branch. What a name cannot hold of a branch is told apart by a mark of
    four characters; so is a branch whose name is a number."""
    if number is not None:
        return ChannelName(f"preview-{number}")
    slug = re.sub(r"[^a-z0-9]+", "-", branch.lower()).strip("-")
    if slug == branch and len(slug) <= _SLUG and not slug.isdigit():
        return ChannelName(f"preview-{slug}")
    mark = hashlib.sha256(branch.encode()).hexdigest()[:_MARK]
    return ChannelName("-".join(part for part in ("preview", slug[: _SLUG - _MARK - 1].strip("-"), mark) if part))


def make(row: PullRequest) -> Channel:
    """A channel with an address, data of its own and production's variables without the secret ones. Raises ConflictError, QuotaError,
    InvalidValueError for an address that would be too long. Call inside a transaction."""
    site = row.site
    check_room(site.team)
    if Channel.objects.filter(site=site, kind=ChannelKind.PREVIEW.value).count() >= MOST_A_SITE:
        raise QuotaError(f"The site has {MOST_A_SITE} previews, which is the most.", resolution="Close one that nobody needs.")
    production = Channel.objects.get(site=site, name="production")
    name = name_for(row.number, row.branch)
    try:
        with transaction.atomic():
            channel = Channel.objects.create(site=site, name=name, kind=ChannelKind.PREVIEW.value, node=production.node)
            add_default_route(channel)
    except IntegrityError as error:
        raise ConflictError(f"The site has a channel “{name}” already.", resolution="Close it, then fetch again.") from error
    EnvVar.objects.bulk_create(
        EnvVar(channel=channel, name=one.name, sealed=one.sealed) for one in production.variables.filter(secret=False)
    )
    return channel


def remove(channel: Channel, why: str, user: User | None) -> Operation:
    """Begin to remove it with everything it has."""
    raise NotImplementedError
