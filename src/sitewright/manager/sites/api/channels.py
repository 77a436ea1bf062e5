"""/sites/{name}/channels: several versions of one site, each with a branch, an address and variables of its own."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router, Status
from ninja.params.functions import Query

from sitewright.domain.channel import PRODUCTION
from sitewright.domain.states import Role
from sitewright.errors import InvalidValueError
from sitewright.manager.api.auth import idempotency_key, person
from sitewright.manager.operations.schemas import Accepted, operation_out
from sitewright.manager.sites import channels, freezing
from sitewright.manager.sites.access import channel_for, channels_for, site_for
from sitewright.manager.sites.channels import NewChannel, Wish
from sitewright.manager.sites.present_channels import channels_out, full_channel_out
from sitewright.manager.sites.schemas_channels import (
    AdoptIn,
    ChannelAccepted,
    ChannelIn,
    ChannelList,
    ChannelPatch,
    FreezeIn,
    FullChannelOut,
)
from sitewright.manager.sites.services import Way

router = Router(tags=["channels"])


@router.get("/{name}/channels", response=ChannelList, operation_id="listChannels")
def list_channels(request: HttpRequest, name: str) -> ChannelList:
    """All channels of the site, previews included."""
    user = person(request)
    return ChannelList(items=channels_out(channels_for(user).filter(site=site_for(user, name))), next=None)


@router.post("/{name}/channels", response={202: ChannelAccepted}, operation_id="createChannel")
def create_channel(request: HttpRequest, name: str, body: ChannelIn) -> Status[ChannelAccepted]:
    """Make a channel, and deploy its branch if there is one."""
    user = person(request)
    site = site_for(user, name, Role.DEVELOPER)
    new = NewChannel(body.name, body.branch, body.mode, _named(body.copy_env), _named(body.share_data))
    made = channels.create(user, site, new)
    operation = channels.first_deploy(user, made)
    shown = full_channel_out(channel_for(user, name, channel=made.name))
    return Status(202, ChannelAccepted(channel=shown, operation=operation_out(operation) if operation else None))


def _named(choice: bool | str) -> str:
    return choice if isinstance(choice, str) else PRODUCTION if choice else ""


@router.get("/{name}/channels/{channel}", response=FullChannelOut, operation_id="getChannel")
def get_channel(request: HttpRequest, name: str, channel: str) -> FullChannelOut:
    """One channel."""
    return full_channel_out(channel_for(person(request), name, channel=channel))


@router.patch("/{name}/channels/{channel}", response={202: ChannelAccepted}, operation_id="changeChannel")
def change_channel(request: HttpRequest, name: str, channel: str, body: ChannelPatch) -> Status[ChannelAccepted]:
    """Change which branch it follows and who may deploy to it, at once; other data takes an operation."""
    user = person(request)
    row = channel_for(user, name, Role.DEVELOPER, channel)
    wish = Wish(body.branch, body.protected, body.deploy_role, body.share_data)
    operation = channels.change(user, row, wish, idempotency_key(request))
    shown = full_channel_out(channel_for(user, name, channel=channel))
    return Status(202, ChannelAccepted(channel=shown, operation=operation_out(operation) if operation else None))


@router.delete("/{name}/channels/{channel}", response={202: Accepted}, operation_id="removeChannel")
def remove_channel(request: HttpRequest, name: str, channel: str, confirm: str = Query("", max_length=63)) -> Status[Accepted]:
    """Remove it with its releases, variables and its own data; *confirm* is its name."""
    row = channel_for(person(request), name, Role.DEVELOPER, channel)
    if confirm != row.name:
        raise InvalidValueError(
            "The channel was not removed.", details="To confirm, its name must be given exactly.", resolution=f"Confirm with “{row.name}”."
        )
    return Status(202, Accepted(operation=operation_out(channels.remove(person(request), row, idempotency_key(request)))))


@router.post("/{name}/channels/{channel}/adopt", response={202: Accepted}, operation_id="adoptRelease")
def adopt_release(request: HttpRequest, name: str, channel: str, body: AdoptIn) -> Status[Accepted]:
    """Promote: give this channel the release of another one, without building it again."""
    user = person(request)
    target, source = channel_for(user, name, Role.DEVELOPER, channel), channel_for(user, name, Role.DEVELOPER, body.source)
    way = Way(percent=body.canary_percent or 0.0, strategy=body.strategy, replace=body.replace, why=body.why)
    operation = channels.adopt(user, target, source, body.release, idempotency_key(request), way)
    return Status(202, Accepted(operation=operation_out(operation)))


@router.post("/{name}/channels/{channel}/freeze", response=FullChannelOut, operation_id="freezeChannel")
def freeze_channel(request: HttpRequest, name: str, channel: str, body: FreezeIn) -> FullChannelOut:
    """Let nothing be deployed to it for a while; it can still be rolled back."""
    row = channel_for(person(request), name, Role.DEVELOPER, channel)
    freezing.freeze(person(request), row, body.until, body.reason)
    return full_channel_out(row)


@router.delete("/{name}/channels/{channel}/freeze", response=FullChannelOut, operation_id="unfreezeChannel")
def unfreeze_channel(request: HttpRequest, name: str, channel: str) -> FullChannelOut:
    """End a freeze before its time."""
    row = channel_for(person(request), name, Role.DEVELOPER, channel)
    freezing.unfreeze(person(request), row)
    return full_channel_out(row)
