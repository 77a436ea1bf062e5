"""The channels that previews are shown on: made, named, removed."""

from __future__ import annotations

import hashlib
import re

from django.db.models import QuerySet

from sitewright.domain.channel import PRODUCTION, ChannelKind
from sitewright.domain.names import ChannelName
from sitewright.domain.operation import OperationKind
from sitewright.domain.states import FINAL_OPERATION_STATES, OperationState
from sitewright.errors import QuotaError
from sitewright.manager.accounts.models import User
from sitewright.manager.operations.models import Operation
from sitewright.manager.operations.services import cancel
from sitewright.manager.repositories.models import PullRequest
from sitewright.manager.sites import channels
from sitewright.manager.sites.channels import NewChannel
from sitewright.manager.sites.models import Channel
from sitewright.manager.teams.services import check_room

MOST_A_SITE = 20
_FINAL = [state.value for state in FINAL_OPERATION_STATES]
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
    new = NewChannel(name_for(row.number, row.branch), copy_env=PRODUCTION, kind=ChannelKind.PREVIEW, secrets=False)
    return channels.create(None, site, new)


def remove(channel: Channel, user: User | None) -> Operation:
    """Begin to remove it with everything it has; one that is being removed already is left to that."""
    under_way = removing(channel)
    if under_way is not None:
        return under_way
    for deploy in _deploys(channel).exclude(state__in=_FINAL):
        cancel(deploy)
    return channels.remove(user, channel)


def give_up_queued(channel: Channel) -> None:
    """A newer commit comes: deploys of older ones that have not begun are of no use."""
    for deploy in _deploys(channel).filter(state=OperationState.QUEUED.value, step=0):
        cancel(deploy)


def _deploys(channel: Channel) -> QuerySet[Operation]:
    return Operation.objects.filter(channel=channel, kind=OperationKind.DEPLOY.value)


def removing(channel: Channel) -> Operation | None:
    """The operation that removes it, while there is one."""
    rows = Operation.objects.filter(channel=channel, kind=OperationKind.CHANNEL.value, params__what="remove")
    return rows.exclude(state__in=_FINAL).first()
