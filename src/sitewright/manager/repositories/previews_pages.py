"""The page about previews: which there are, letting a fork's be built, closing one, and of what they are made."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from sitewright.domain.channel import Previews
from sitewright.domain.identity import is_id
from sitewright.domain.states import Role
from sitewright.errors import InvalidValueError, NotFoundError
from sitewright.manager.accounts.models import User
from sitewright.manager.pages.view import page, person, say, telling
from sitewright.manager.repositories import previews, services
from sitewright.manager.repositories.access import for_user, pull_requests_for
from sitewright.manager.repositories.models import PullRequest, PullState
from sitewright.manager.repositories.present import preview_out
from sitewright.manager.sites.access import site_for
from sitewright.manager.sites.views.overview import frame

PER_PAGE = 30
MOST_DAYS = 365
MAKES = {
    Previews.OFF: ("None", "Branches and pull requests are only kept."),
    Previews.PULL_REQUESTS: ("Pull requests", "Each gets an address of its own while it is open. Needs a connected repository."),
    Previews.BRANCHES: ("Branches and pull requests", "Every pushed branch that no channel follows, too."),
}


@page
@require_GET
def show(request: HttpRequest, name: str) -> HttpResponse:
    """Open previews, or with ?closed=1 those that are over."""
    site, context = frame(request, name, "previews")
    user = person(request)
    closed = request.GET.get("closed") == "1"
    rows = pull_requests_for(user).filter(site=site).select_related("allowed_by").distinct().order_by("-changed_at", "-id")
    rows = rows.exclude(state=PullState.OPEN.value) if closed else rows.filter(state=PullState.OPEN.value)
    current = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    context |= {
        "page": current,
        "previews": [preview_out(row) for row in current.object_list],
        "closed": closed,
        "makes": site.previews,
        "days": site.preview_days,
        "choices": [(one.value, *words) for one, words in MAKES.items()],
        "connected": for_user(user).filter(site=site).exists(),
    }
    return render(request, "repositories/previews.html", context)


@page
@require_POST
def settle(request: HttpRequest, name: str) -> HttpResponse:
    """Of what previews are made, and for how long they stay."""
    user = person(request)
    site = site_for(user, name, Role.DEVELOPER)
    with telling(request):
        makes, days = request.POST.get("makes", ""), request.POST.get("days", "")
        if makes not in MAKES:
            raise InvalidValueError("Of what are previews to be made?", resolution="Choose one of the three.")
        if not days.isascii() or not days.isdigit() or not 1 <= int(days[:4]) <= MOST_DAYS:
            raise InvalidValueError(f"A preview stays for 1 to {MOST_DAYS} days.")
        services.settle_previews(user, site, Previews(makes), int(days))
        say(request, "It is settled. Previews that are there stay.")
    return redirect("repositories:previews", name)


def _preview(user: User, name: str, preview_id: str) -> PullRequest:
    site = site_for(user, name, Role.DEVELOPER)
    rows = pull_requests_for(user, Role.DEVELOPER).filter(site=site, id=preview_id)
    row = rows.distinct().first() if is_id(preview_id) else None
    if row is None:
        raise NotFoundError("There is no such preview.")
    return row


@page
@require_POST
def allow(request: HttpRequest, name: str, preview_id: str) -> HttpResponse:
    """Let this very commit of a fork be built and shown."""
    row = _preview(person(request), name, preview_id)
    with telling(request):
        operation = previews.allow(person(request), row, request.POST.get("commit", ""))
        say(request, "It is fetched and built.\nIt sees no secrets; a later commit waits to be allowed again.")
        return redirect("operations:show", operation.id)
    return redirect("repositories:previews", name)


@page
@require_POST
def close(request: HttpRequest, name: str, preview_id: str) -> HttpResponse:
    """Remove a preview; its branch or pull request stays."""
    row = _preview(person(request), name, preview_id)
    with telling(request):
        previews.close_by_hand(person(request), row)
        say(request, "The preview is being removed.\nThe next commit makes it again.")
    return redirect("repositories:previews", name)
