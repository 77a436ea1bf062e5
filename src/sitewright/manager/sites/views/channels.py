"""A site's channels: what there is, making one, changing and removing it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from sitewright.domain.channel import PRODUCTION, ChannelKind
from sitewright.domain.states import Mode, Role
from sitewright.errors import InvalidValueError
from sitewright.manager.pages.view import page, person, say, telling
from sitewright.manager.sites import channels
from sitewright.manager.sites.access import channel_for, channels_for, site_for
from sitewright.manager.sites.channels import NewChannel, Wish
from sitewright.manager.sites.models import Channel
from sitewright.manager.sites.present_channels import channels_out
from sitewright.manager.sites.schemas_channels import FullChannelOut
from sitewright.manager.sites.views.channel import address, asked, may_deploy
from sitewright.manager.sites.views.overview import frame


@page
@require_GET
def show(request: HttpRequest, name: str) -> HttpResponse:
    """All channels, and a form for one more."""
    site, context = frame(request, name, "channels")
    user = person(request)
    rows = {one.name: one for one in channels_for(user).filter(site=site).distinct()}
    context |= {
        "rows": [_row(one, rows[one.name], may=may_deploy(user, rows[one.name])) for one in channels_out(rows.values())],
        "git_url": settings.PLATFORM.ssh_url(site.name) or settings.PLATFORM.git_url(site.name),
        "domain": settings.PLATFORM.domain,
        "own_data": [one.name for one in rows.values() if one.data_of_id is None],
        "alone": len(rows) == 1,
    }
    return render(request, "sites/channels.html", context)


def _row(shown: FullChannelOut, channel: Channel, *, may: bool) -> dict[str, Any]:
    return {
        "shown": shown,
        "url": channels.address_of(channel),
        "release": channel.release,
        "query": "" if shown.name == PRODUCTION else f"?channel={shown.name}",
        "may_deploy": may,
        "removable": may and shown.kind is not ChannelKind.PRODUCTION,
        "preview": shown.kind is ChannelKind.PREVIEW,
    }


@page
@require_POST
def create(request: HttpRequest, name: str) -> HttpResponse:
    """Make one, and deploy its branch if there is one."""
    user, form = person(request), request.POST
    site = site_for(user, name, Role.DEVELOPER)
    with telling(request):
        mode = Mode.LIVE if form.get("mode") == "live" else Mode.RELEASED
        new = NewChannel(form.get("channel", "").strip(), form.get("branch", "").strip(), mode, form.get("env", ""), form.get("data", ""))
        made = channels.create(user, site, new)
        operation = channels.first_deploy(user, made)
        what = "Its branch is being deployed." if operation else f"Push to its branch to deploy it: “{made.branch or 'none yet'}”."
        say(request, f"The channel “{made.name}” is there.\n{what}")
        return redirect(address("sites:show", name, made.name))
    return redirect("sites:channels", name)


@page
@require_POST
def change(request: HttpRequest, name: str) -> HttpResponse:
    """Another branch, or other data."""
    channel = asked(request, name, Role.DEVELOPER)
    with telling(request):
        former = channel.data_of.name if channel.data_of else ""
        branch, data = request.POST.get("branch", "").strip(), request.POST.get("data", former)
        wish = Wish(branch=branch if branch != channel.branch else None, share_data=data if data != former else None)
        operation = channels.change(person(request), channel, wish)
        say(request, f"“{channel.name}” is being changed." if operation else f"“{channel.name}” is changed.")
    return redirect("sites:channels", name)


@page
@require_POST
def remove(request: HttpRequest, name: str) -> HttpResponse:
    """Remove it with its releases, variables and its own data, when its name was typed."""
    channel = channel_for(person(request), name, Role.DEVELOPER, request.GET.get("channel", ""))
    with telling(request):
        if request.POST.get("confirm", "").strip() != channel.name:
            raise InvalidValueError(
                "The channel was not removed.", details="To confirm, its name must be typed exactly.", resolution=f"Type “{channel.name}”."
            )
        operation = channels.remove(person(request), channel)
        return redirect("operations:show", operation.id)
    return redirect("sites:channels", name)
