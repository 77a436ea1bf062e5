"""Plans, for administrators of the platform."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from sitewright.errors import NotFoundError, SitewrightError
from sitewright.manager.pages.view import page, person, say, status_of
from sitewright.manager.teams.forms import PlanForm, figures
from sitewright.manager.teams.models import Plan, Team
from sitewright.manager.teams.plans import allowance_of, save_plan
from sitewright.manager.teams.words import plan_in_words


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A plan in the list. ``teams``: how many have it; ``spreading``: not all of their sites follow yet."""

    id: str
    name: str
    words: list[str]
    teams: int
    is_default: bool
    open: bool
    spreading: bool


def _administrator(request: HttpRequest) -> None:
    if not person(request).is_staff:
        raise NotFoundError("There is no such page, or it is not yours to see.")


@page
@require_GET
def plans(request: HttpRequest) -> HttpResponse:
    """All plans."""
    _administrator(request)
    teams = Counter(Team.objects.values_list("plan_id", flat=True))
    rows = [
        PlanRow(
            id=plan.id,
            name=plan.name,
            words=plan_in_words(allowance_of(plan)),
            teams=teams[plan.id] + (teams[None] if plan.is_default else 0),
            is_default=plan.is_default,
            open=plan.open,
            spreading=plan.spreading,
        )
        for plan in Plan.objects.all()
    ]
    return render(request, "teams/plans.html", {"plans": rows, "section": "status"})


@page
@require_http_methods(["GET", "POST"])
def make(request: HttpRequest) -> HttpResponse:
    """A new plan."""
    _administrator(request)
    return _edit(request, Plan())


@page
@require_http_methods(["GET", "POST"])
def change(request: HttpRequest, plan: str) -> HttpResponse:
    """Change a plan; its sites follow."""
    _administrator(request)
    row = Plan.objects.filter(id=plan).first()
    if row is None:
        raise NotFoundError("There is no such plan.")
    return _edit(request, row)


def _edit(request: HttpRequest, plan: Plan) -> HttpResponse:
    title = f"Plan {plan.name}" if plan.name else "New plan"
    if request.method == "GET":
        return _ask(request, PlanForm(initial=figures(plan)), title)
    form = PlanForm(request.POST)
    if not form.is_valid():
        return _ask(request, form, title, status=400)
    try:
        save_plan(person(request), plan, form.cleaned_data)
    except SitewrightError as error:
        return _ask(request, form, title, error)
    say(request, f"The plan “{plan.name}” is kept.\nSites that have it follow by themselves.")
    return redirect("teams:plans")


def _ask(request: HttpRequest, form: PlanForm, title: str, error: SitewrightError | None = None, status: int = 200) -> HttpResponse:
    context = {"form": form, "title": title, "error": error, "section": "status"}
    return render(request, "teams/plan.html", context, status=status_of(error) if error else status)
