"""Changing how a site runs: scale, sleep, affinity, releases, trials. Each answers with the overview, where it is seen at work."""

from __future__ import annotations

from typing import TypeVar

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from sitewright.domain.desired import Strategy
from sitewright.domain.operation import OperationKind
from sitewright.domain.route import Affinity
from sitewright.domain.states import Role
from sitewright.errors import InvalidValueError, NotFoundError
from sitewright.manager.pages.view import page, person, say, telling
from sitewright.manager.sites import changing
from sitewright.manager.sites.access import site_for
from sitewright.manager.sites.settled import SleepChoice, Wish
from sitewright.manager.sites.views.channel import asked, back
from sitewright.manager.teams.access import team_for
from sitewright.manager.teams.allowance import VISIT_FIGURES
from sitewright.manager.teams.plans import give_plan, plan_named

TRIALS = {"promote": OperationKind.PROMOTE, "abort": OperationKind.ABORT}
MOST = 1e9
"""No figure of a form is as large; infinity and what is no number at all are not below it either."""
W = TypeVar("W", Affinity, Strategy)


def _number(form: QueryDict, name: str) -> float | None:
    """A number of the form, None when the field is empty. Raises InvalidValueError."""
    text = form.get(name, "").strip().replace(",", ".")
    if not text:
        return None
    try:
        number = float(text)
    except ValueError as error:
        raise InvalidValueError(f"“{text[:20]}” is not a number.") from error
    if not abs(number) < MOST:
        raise InvalidValueError(f"“{text[:20]}” is too much, or no number.", resolution="Give an ordinary number.")
    return number


def _whole(form: QueryDict, name: str) -> int | None:
    number = _number(form, name)
    return None if number is None else int(number)


@page
@require_POST
def scale(request: HttpRequest, name: str) -> HttpResponse:
    """Another number of copies of one process."""
    channel = asked(request, name, Role.DEVELOPER)
    with telling(request):
        changing.scale(
            person(request), channel.site, {request.POST.get("process", ""): {"count": _whole(request.POST, "count")}}, channel=channel
        )
    return back("sites:show", channel)


@page
@require_POST
def limits(request: HttpRequest, name: str) -> HttpResponse:
    """What each copy of one process may use; an empty field is the plan's."""
    channel = asked(request, name, Role.DEVELOPER)
    with telling(request):
        processors = _number(request.POST, "processors")
        wanted = {
            "memory_mb": _whole(request.POST, "memory_mb"),
            "cpu_millicores": None if processors is None else round(processors * 1000),
        }
        changing.scale(person(request), channel.site, {request.POST.get("process", ""): wanted}, channel=channel)
        return back("sites:show", channel)
    return back("sites:settings", channel)


@page
@require_POST
def sleep(request: HttpRequest, name: str) -> HttpResponse:
    """When it sleeps."""
    channel = asked(request, name, Role.DEVELOPER)
    with telling(request):
        changing.configure(person(request), channel.site, Wish(sleep=_sleep(request.POST)), channel=channel)
        return back("sites:show", channel)
    return back("sites:settings", channel)


def _sleep(form: QueryDict) -> SleepChoice:
    match form.get("sleep"):
        case "default":
            return "default"
        case "never":
            return "never"
    minutes = {key: _number(form, key) for key in ("freeze", "stop")}
    return {f"{key}_after_seconds": None if value is None else value * 60 for key, value in minutes.items()}


@page
@require_POST
def settle(request: HttpRequest, name: str) -> HttpResponse:
    """Which visitors stay with which copy, how a deploy takes over, what visitors may ask for."""
    channel = asked(request, name, Role.DEVELOPER)
    with telling(request):
        wish = Wish(
            affinity=_word(Affinity, request.POST.get("affinity", "")),
            strategy=_word(Strategy, request.POST.get("strategy", "")),
            max_surge=_whole(request.POST, "max_surge"),
            visits={key: _whole(request.POST, key) for key in VISIT_FIGURES if key in request.POST},
        )
        changing.configure(person(request), channel.site, wish, channel=channel)
        return back("sites:show", channel)
    return back("sites:settings", channel)


def _word(words: type[W], text: str) -> W | None:
    if not text:
        return None
    try:
        return words(text)
    except ValueError as error:
        raise InvalidValueError(f"“{text[:20]}” cannot be chosen.") from error


@page
@require_POST
def plan(request: HttpRequest, name: str) -> HttpResponse:
    """Another plan for the site's team, by one of its owners."""
    site = site_for(person(request), name, Role.OWNER)
    with telling(request):
        team = team_for(person(request), site.team.name, Role.OWNER)
        chosen = plan_named(request.POST.get("plan", ""))
        give_plan(person(request), team, chosen)
        say(request, f"The team “{team.name}” has the plan “{chosen.name}” now.\nIts sites follow by themselves.")
    return redirect("sites:settings", name)


@page
@require_POST
def trial(request: HttpRequest, name: str, action: str) -> HttpResponse:
    """Promote or abort the release on trial."""
    channel = asked(request, name, Role.DEVELOPER)
    kind = TRIALS.get(action)
    if kind is None:
        raise NotFoundError("There is no such action.")
    with telling(request):
        changing.end_trial(person(request), channel.site, kind, channel=channel)
    return back("sites:show", channel)


@page
@require_POST
def wake(request: HttpRequest, name: str) -> HttpResponse:
    """Wake it."""
    channel = asked(request, name, Role.DEVELOPER)
    with telling(request):
        changing.wake(person(request), channel.site, channel)
        say(request, "It wakes.")
    return back("sites:show", channel)
