"""Making, changing and removing channels, and giving one the release of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from sitewright.bus.messages import CommitSource
from sitewright.domain.channel import PRODUCTION, ChannelKind
from sitewright.domain.events import EventKind, as_told
from sitewright.domain.names import ChannelName
from sitewright.domain.operation import OperationKind
from sitewright.domain.states import Mode, Role
from sitewright.errors import ConflictError, InvalidValueError, NotFoundError, QuotaError, SitewrightError
from sitewright.manager.accounts.models import User
from sitewright.manager.audit.services import noted, trail
from sitewright.manager.domains.services import add_default_route
from sitewright.manager.operations.models import Operation
from sitewright.manager.operations.services import Ask, known, submit
from sitewright.manager.releases.models import Release
from sitewright.manager.releases.returning import can_try, gone, trial_is_on
from sitewright.manager.releases.services import kept_releases
from sitewright.manager.sites import branches, protection
from sitewright.manager.sites.branch_names import check_branch_name
from sitewright.manager.sites.desired import foreign
from sitewright.manager.sites.models import Channel, EnvVar, Site
from sitewright.manager.sites.services import Way, way_params

MOST_CHANNELS = 50
"""Of one site, previews included."""


@dataclass(frozen=True, slots=True)
class NewChannel:
    """What somebody asks for. ``copy_env`` and ``share_data`` name a channel of the same site, "" for none."""

    name: str
    branch: str = ""
    mode: Mode = Mode.RELEASED
    copy_env: str = ""
    share_data: str = ""
    kind: ChannelKind = ChannelKind.NAMED
    expires_at: datetime | None = None
    secrets: bool = True
    """Whether ``copy_env`` takes secret variables along: never for the preview of a fork."""


def create(user: User | None, site: Site, new: NewChannel) -> Channel:
    """Make it; nothing runs in it yet. Raises ConflictError when there is one of that name or branch, InvalidValueError, QuotaError."""
    name = ChannelName(new.name)
    if "--" in name:
        raise InvalidValueError(f"“{name}” cannot be a channel name.", details="Two hyphens in a row part it from the site's name.")
    if new.branch:
        check_branch_name(new.branch)
    try:
        with transaction.atomic():
            Site.objects.select_for_update().get(pk=site.pk)
            channel = _row(site, name, new)
            if new.copy_env:
                _copy_env(_sibling(site, new.copy_env), channel, secrets=new.secrets)
            follows = f", follows {as_told(new.branch)}" if new.branch else ""
            noted(site.id, EventKind.CHANNEL_CREATED, f"The channel “{name}” was made{follows}.", user, channel)
            trail(user, "channel.created", site.id, site.name, channel=str(name), branch=new.branch)
    except IntegrityError as error:
        raise taken(site, name, new.branch) from error
    return channel


def _row(site: Site, name: ChannelName, new: NewChannel) -> Channel:
    if site.channels.count() >= MOST_CHANNELS:
        raise QuotaError(f"A site has at most {MOST_CHANNELS} channels.", resolution="Remove one that is not needed any more.")
    channel = Channel.objects.create(
        site=site,
        name=name,
        kind=new.kind.value,
        branch=new.branch,
        mode=new.mode.value,
        data_of=_data_owner(_sibling(site, new.share_data)) if new.share_data else None,
        node=_sibling(site, PRODUCTION).node,
        expires_at=new.expires_at,
    )
    add_default_route(channel)
    return channel


def _sibling(site: Site, name: str) -> Channel:
    channel = Channel.objects.filter(site=site, name=name).first()
    if channel is None:
        raise NotFoundError(f"The site “{site.name}” has no channel “{name[:63]}”.")
    return channel


def _data_owner(channel: Channel) -> Channel:
    """Whoever shares the data of one that shares itself, shares that one's."""
    return channel.data_of or channel


def _copy_env(source: Channel, target: Channel, *, secrets: bool) -> None:
    rows = source.variables.all() if secrets else source.variables.filter(secret=False)
    EnvVar.objects.bulk_create(EnvVar(channel=target, name=one.name, sealed=one.sealed, secret=one.secret) for one in rows)


def taken(site: Site, name: str, branch: str) -> ConflictError:
    """There is a channel of that name, or one that follows that branch."""
    other = Channel.objects.filter(site=site, branch=branch).first() if branch else None
    if other is not None and other.name != name:
        return ConflictError(f"The channel “{other.name}” follows the branch “{branch}” already.", resolution="Choose another branch.")
    return ConflictError(f"The site “{site.name}” has a channel “{name}” already.", resolution="Choose another name.")


def first_deploy(user: User | None, channel: Channel) -> Operation | None:
    """Deploy what the new channel's branch leads to; None when there is no such branch yet, or the node cannot say."""
    if not channel.branch:
        return None
    try:
        head = branches.head(channel, channel.branch)
    except SitewrightError:
        return None
    if not head:
        return None
    params = {"source": CommitSource(commit=head, branch=channel.branch).model_dump(mode="json"), "push": {"old": head}}
    return submit(Ask(OperationKind.DEPLOY, channel.site, user, params, "", channel))


@dataclass(frozen=True, slots=True)
class Wish:
    """What to change of a channel; None leaves it as it is. ``share_data`` "" is its own data."""

    branch: str | None = None
    protected: bool | None = None
    deploy_role: Role | None = None
    share_data: str | None = None


def change(user: User, channel: Channel, wish: Wish, key: str = "") -> Operation | None:
    """Change what it follows and who may deploy to it, at once; other data needs new instances, and an operation. Raises ConflictError,
    InvalidValueError, ForbiddenError."""
    protection.check_role(user, channel)
    fields = _fields(user, channel, wish)
    if wish == Wish():
        raise InvalidValueError("Nothing was asked for.", resolution="Name at least one thing to change.")
    operation = None
    try:
        with transaction.atomic():
            if fields:
                _write(user, channel, fields)
            if wish.share_data is not None:
                operation = _share(user, channel, wish.share_data, key)
    except IntegrityError as error:
        raise taken(channel.site, channel.name, wish.branch or "") from error
    return operation


def _fields(user: User, channel: Channel, wish: Wish) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if wish.branch is not None and wish.branch != channel.branch:
        if wish.branch:
            check_branch_name(wish.branch)
        fields["branch"] = wish.branch
    if wish.protected is not None:
        fields["protected"] = wish.protected
    if wish.deploy_role is not None:
        fields["deploy_role"] = wish.deploy_role.value
    if {"protected", "deploy_role"} & fields.keys():
        protection.check_owner(user, channel)
    return fields


def _write(user: User, channel: Channel, fields: Mapping[str, Any]) -> None:
    Channel.objects.filter(id=channel.id).update(**fields)
    if channel.name == PRODUCTION and fields.get("branch"):
        Site.objects.filter(id=channel.site_id).update(default_branch=fields["branch"])
    for name, value in fields.items():
        setattr(channel, name, value)
    trail(user, "channel.changed", channel.site_id, channel.site.name, channel=channel.name, fields=dict(fields))
    noted(channel.site_id, EventKind.CHANNEL_CHANGED, f"The channel was changed: {in_words(fields)}.", user, channel)


def in_words(fields: Mapping[str, Any]) -> str:
    """What was changed, for the timeline."""
    parts = []
    if "branch" in fields:
        parts.append(f"follows {as_told(fields['branch'])}" if fields["branch"] else "follows no branch")
    if "protected" in fields:
        parts.append("protected" if fields["protected"] else "not protected any more")
    if "deploy_role" in fields:
        parts.append(f"{fields['deploy_role']}s may deploy to it while it is protected")
    return "; ".join(parts)


def _share(user: User, channel: Channel, name: str, key: str) -> Operation:
    owner = _data_owner(_sibling(channel.site, name)) if name else None
    if owner is not None and foreign(channel):
        raise ConflictError(f"“{channel.name}” runs foreign code: it has data of its own only.")
    if owner is not None and owner.id == channel.id:
        raise ConflictError(f"“{channel.name}” would share data with itself.", resolution="Choose another channel.")
    if owner is not None and Channel.objects.filter(data_of=channel).exists():
        raise ConflictError(f"Other channels use the data of “{channel.name}”.", resolution="Give them data of their own first.")
    trail(user, "channel.data", channel.site_id, channel.site.name, channel=channel.name, shared=name)
    params = {"what": "data", "data_of": owner.id if owner else None}
    return submit(Ask(OperationKind.CHANNEL, channel.site, user, params, key, channel))


def remove(user: User | None, channel: Channel, key: str = "") -> Operation:
    """Take it away with its releases, variables and its own data. Raises ConflictError for production, or while others use its data."""
    before = known(user, key, OperationKind.CHANNEL, channel.site, channel)
    if before is not None:
        return before
    if channel.kind == ChannelKind.PRODUCTION.value:
        raise ConflictError("Production cannot be removed.", details="Every site has it.", resolution="Delete the site, or stop it.")
    if user is not None:
        protection.check(user, channel, OperationKind.CHANNEL)
    users = ", ".join(Channel.objects.filter(data_of=channel).values_list("name", flat=True))
    if users:
        raise ConflictError(f"The data of “{channel.name}” is used by {users}.", resolution="Give them data of their own first.")
    trail(user, "channel.removed", channel.site_id, channel.site.name, channel=channel.name)
    return submit(Ask(OperationKind.CHANNEL, channel.site, user, {"what": "remove", "name": channel.name}, key, channel))


def adopt(user: User, target: Channel, source: Channel, number: int | None = None, key: str = "", way: Way | None = None) -> Operation:
    """Give *target* the release that *source* has live, or its release *number*, without a build. Raises ConflictError, NotFoundError,
    ForbiddenError."""
    before = known(user, key, OperationKind.ADOPT, target.site, target)
    if before is not None:
        return before
    way = way or Way()
    protection.check(user, target, OperationKind.ADOPT)
    release = _adoptable(target, source, number)
    if target.canary_release_id is not None and not way.replace:
        raise trial_is_on()
    if way.percent:
        can_try(target)
    params = {
        "from": source.name,
        "release": release.id,
        "source": CommitSource(commit=release.commit).model_dump(mode="json"),
        **way_params(way),
    }
    trail(user, "site.adopt", target.site_id, target.site.name, channel=target.name, source=source.name, release=release.number)
    return submit(Ask(OperationKind.ADOPT, target.site, user, params, key, target))


def _adoptable(target: Channel, source: Channel, number: int | None) -> Release:
    if source.id == target.id:
        raise ConflictError(f"“{target.name}” has its own releases already.", resolution="Name another channel, or roll back.")
    for channel in (source, target):
        if channel.mode == Mode.LIVE.value:
            raise ConflictError(f"“{channel.name}” runs straight from its folder; it has no releases to give or take.")
    release = source.release if number is None else Release.objects.filter(channel=source, number=number).first()
    if release is None:
        what = "no release is live there yet" if number is None else f"there is no release {number}"
        raise NotFoundError(f"Nothing can be taken from “{source.name}”: {what}.")
    if release.id not in kept_releases(source):
        raise gone(release)
    if target.release is not None and target.release.adopted_from_id == release.id:
        raise ConflictError(f"“{target.name}” runs release {release.number} of “{source.name}” already.")
    return release


def address_of(channel: Channel) -> str:
    """Where visitors find it; "" when nowhere."""
    host = channel.routes.values_list("host", flat=True).first()
    return settings.PLATFORM.url(host) if host else ""
