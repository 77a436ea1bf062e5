"""Channels, and what lies between commits, as the API shows them."""

from __future__ import annotations

from collections.abc import Iterable

from sitewright.domain.channel import PRODUCTION, ChannelKind
from sitewright.domain.git import Changes, Commit
from sitewright.domain.states import Role
from sitewright.manager.operations.models import Operation
from sitewright.manager.operations.schemas import operation_out
from sitewright.manager.sites.models import Channel
from sitewright.manager.sites.present_api import channel_out
from sitewright.manager.sites.protection import frozen_until
from sitewright.manager.sites.schemas_channels import ChangesOut, CommitOut, FileChangeOut, FreezeOut, FullChannelOut
from sitewright.manager.sites.state import UNFINISHED, derive
from sitewright.manager.teams.plans import Book


def channels_out(channels: Iterable[Channel]) -> list[FullChannelOut]:
    """Channels of one site, production first, then by name."""
    listed = sorted(channels, key=lambda one: (one.name != PRODUCTION, one.name))
    current = _operations(listed)
    states = derive({one.id: one for one in listed}, current)
    book = Book()
    return [
        FullChannelOut(
            **channel_out(one, book.allowance(one.site.team)).dict(),
            kind=ChannelKind(one.kind),
            state=states[one.id],
            branch=one.branch,
            commit=one.commit,
            protected=one.protected,
            deploy_role=Role(one.deploy_role),
            freeze=freeze_out(one),
            data_of=one.data_of.name if one.data_of else "",
            expires_at=one.expires_at,
            operation=operation_out(current[one.id]) if one.id in current else None,
        )
        for one in listed
    ]


def full_channel_out(channel: Channel) -> FullChannelOut:
    """One of them."""
    return channels_out([channel])[0]


def _operations(channels: list[Channel]) -> dict[str, Operation]:
    """Channel id → what is under way there, else what is queued first."""
    rows = Operation.objects.filter(channel__in=channels, state__in=UNFINISHED).prefetch_related("steps")
    return {str(row.channel_id): row for row in rows.select_related("channel", "created_by").order_by("-created_at")}


def freeze_out(channel: Channel) -> FreezeOut | None:
    """The freeze that holds now."""
    until = frozen_until(channel)
    if until is None:
        return None
    return FreezeOut(until=until, reason=channel.frozen_reason, by=channel.frozen_by.email if channel.frozen_by else "")


def commit_out(commit: Commit) -> CommitOut:
    """A commit."""
    return CommitOut(id=commit.id, author=commit.author, at=commit.at, subject=commit.subject)


def changes_out(since: str, until: str, found: Changes) -> ChangesOut:
    """What lies between two commits."""
    return ChangesOut(
        since=since,
        until=until,
        commits=[commit_out(one) for one in found.commits],
        files=[FileChangeOut(path=one.path, kind=one.kind, added=one.added, removed=one.removed) for one in found.files],
        more=found.more,
    )
