"""A site's settings: variables, name, power, deletion."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from sitewright.domain.operation import OperationKind
from sitewright.domain.route import Affinity
from sitewright.domain.states import Role
from sitewright.errors import NotFoundError
from sitewright.manager.keys import decrypt
from sitewright.manager.pages.view import page, person, telling
from sitewright.manager.sites import services
from sitewright.manager.sites.access import site_for, variables_for
from sitewright.manager.sites.models import Channel, EnvVar
from sitewright.manager.sites.present_life import sleep_form
from sitewright.manager.sites.present_running import settings_out
from sitewright.manager.sites.scale import process_rows, stored
from sitewright.manager.sites.services import NewValue
from sitewright.manager.sites.views.channel import asked, back
from sitewright.manager.sites.views.overview import frame
from sitewright.manager.teams.models import Plan
from sitewright.manager.teams.plans import allowance_for
from sitewright.manager.teams.words import plan_in_words

AFFINITIES = {
    Affinity.NONE: ("Any copy answers", "Requests are spread evenly."),
    Affinity.COOKIE: ("One browser stays with one copy", "By a cookie. For apps that keep sessions in memory."),
    Affinity.ADDRESS: ("One network address stays with one copy", "For clients without cookies."),
    Affinity.HOST: ("One domain stays with one copy", "All visitors of a domain meet in one place."),
}
ACTIONS = {kind.value: kind for kind in (OperationKind.START, OperationKind.STOP, OperationKind.RESTART)}


@page
@require_GET
def show(request: HttpRequest, name: str) -> HttpResponse:
    """Everything that can be changed; for those who may change it."""
    _, context = frame(request, name, "settings", Role.DEVELOPER)
    rows = variables_for(person(request), Role.DEVELOPER).filter(channel=context["channel"]).distinct()
    context |= {"variables": [_shown(variable) for variable in rows], "domain": settings.PLATFORM.domain}
    context |= _running(request, context["channel"])
    return render(request, "sites/settings.html", context)


def _running(request: HttpRequest, channel: Channel) -> dict[str, Any]:
    """How it runs: sleep, visitors, limits, and the plan that bounds them."""
    held, allowance = settings_out(channel), allowance_for(channel.site.team)
    said = stored(channel)
    return {
        "held": held,
        "sleep": sleep_form(channel, held),
        "own_visits": channel.visits or {},
        "affinities": [(one.value, *words) for one, words in AFFINITIES.items()],
        "processes": [(row, said.get(row.spec.type, {})) for row in process_rows(channel, allowance) if row.spec.type != "release"],
        "plan_words": plan_in_words(allowance),
        "plans": [plan for plan in Plan.objects.all() if plan.open or person(request).is_staff],
    }


def _shown(variable: EnvVar) -> dict[str, Any]:
    """A variable for the page; a secret value is not even deciphered."""
    value = "" if variable.secret else decrypt(settings.ENCRYPTION_KEYS, variable.sealed)
    return {"name": variable.name, "secret": variable.secret, "value": value}


@page
@require_POST
def set_variable(request: HttpRequest, name: str) -> HttpResponse:
    """Set one variable; the site restarts with it."""
    channel = asked(request, name, Role.DEVELOPER)
    value = NewValue(request.POST.get("value", ""), secret=request.POST.get("secret") == "on")
    with telling(request):
        services.change_env(person(request), channel.site, {request.POST.get("variable", "").strip(): value}, [], channel=channel)
        return back("sites:show", channel)
    return back("sites:settings", channel)


@page
@require_POST
def unset_variable(request: HttpRequest, name: str) -> HttpResponse:
    """Remove one variable; the site restarts without it."""
    channel = asked(request, name, Role.DEVELOPER)
    with telling(request):
        services.change_env(person(request), channel.site, {}, [request.POST.get("variable", "")], channel=channel)
        return back("sites:show", channel)
    return back("sites:settings", channel)


@page
@require_POST
def rename(request: HttpRequest, name: str) -> HttpResponse:
    """Move to another name."""
    site = site_for(person(request), name, Role.OWNER)
    with telling(request):
        operation = services.rename(person(request), site, request.POST.get("name", "").strip())
        return redirect("operations:show", operation.id)
    return redirect("sites:settings", name)


@page
@require_POST
def delete(request: HttpRequest, name: str) -> HttpResponse:
    """Delete for good, when the name was typed."""
    site = site_for(person(request), name, Role.OWNER)
    with telling(request):
        operation = services.delete(person(request), site, request.POST.get("confirm", "").strip())
        return redirect("operations:show", operation.id)
    return redirect("sites:settings", name)


@page
@require_POST
def power(request: HttpRequest, name: str, action: str) -> HttpResponse:
    """Start, stop, restart."""
    channel = asked(request, name, Role.DEVELOPER)
    kind = ACTIONS.get(action)
    if kind is None:
        raise NotFoundError("There is no such action.")
    with telling(request):
        services.act(person(request), channel.site, kind, channel=channel)
    return back("sites:show", channel)
