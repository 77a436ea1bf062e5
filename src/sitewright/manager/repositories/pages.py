"""Pages about a connected repository: where the code lives, whether fetching works, what its web hook has brought."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from sitewright.domain.identity import is_id
from sitewright.domain.states import Role
from sitewright.errors import NotFoundError, SitewrightError
from sitewright.manager.pages.view import page, person, say, status_of, telling
from sitewright.manager.repositories import deliveries, services
from sitewright.manager.repositories.access import deliveries_for, for_user
from sitewright.manager.repositories.models import Vendor
from sitewright.manager.repositories.present import connection_out
from sitewright.manager.sites.access import site_for
from sitewright.manager.sites.models import Site
from sitewright.manager.sites.views.overview import frame

PER_PAGE = 20
VENDORS = {Vendor.GITHUB: "GitHub", Vendor.GITLAB: "GitLab", Vendor.GITEA: "Gitea or Forgejo", Vendor.PLAIN: "any git address"}

TYPED = ("url", "branch", "vendor", "api_url", "known_hosts")
"""Fields of the form that are shown again."""


@page
@require_GET
def show(request: HttpRequest, name: str) -> HttpResponse:
    """The connection and the log of its deliveries, or how to connect."""
    return _page(request, name)


def _page(request: HttpRequest, name: str, **more: Any) -> HttpResponse:
    site, context = frame(request, name, "code")
    context |= {"vendors": [(one.value, words) for one, words in VENDORS.items()], **_connection(request, site)}
    held = context["connection"]
    context["may_connect"] = context["may_change"] and _may_connect(request, name)
    context["typed"] = {field: str(getattr(held, field, None) or "") for field in TYPED}
    context |= more
    return render(request, "repositories/connection.html", context, status=status_of(more["error"]) if "error" in more else 200)


def _may_connect(request: HttpRequest, name: str) -> bool:
    """Whether the person may say where the code comes from: a protected channel can need more than the usual role."""
    try:
        services.site_to_connect(person(request), name)
    except SitewrightError:
        return False
    return True


def _connection(request: HttpRequest, site: Site) -> dict[str, Any]:
    user = person(request)
    row = for_user(user).filter(site=site).distinct().first()
    if row is None:
        return {"connection": None}
    rows = deliveries_for(user).filter(connection=row).distinct().order_by("-received_at", "-id")
    current = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    return {"connection": connection_out(user, row), "vendor_words": VENDORS[Vendor(row.vendor)], "page": current}


@page
@never_cache
@require_POST
def connect(request: HttpRequest, name: str) -> HttpResponse:
    """Connect, or change the connection; the web hook's secret is in this answer and never again."""
    user, form = person(request), request.POST
    try:
        site = services.site_to_connect(user, name)
        made = services.connect(user, site, _wanted(request))
    except SitewrightError as error:
        site_for(user, name, Role.DEVELOPER)
        return _page(
            request, name, error=error, typed={key: form.get(key, "") for key in ("url", "branch", "vendor", "api_url", "known_hosts")}
        )
    if not made.secret:
        say(request, "The connection is changed, and the repository is being fetched.")
        return redirect("repositories:connection", name)
    return _page(request, name, secret=made.secret, operation_id=made.operation.id)


def _wanted(request: HttpRequest) -> services.Wanted:
    form = request.POST
    vendor = form.get("vendor", "")
    return services.Wanted(
        url=form.get("url", "").strip()[:500],
        vendor=Vendor(vendor) if vendor in VENDORS else None,
        token=form.get("token", "").strip()[:4000],
        branch=form.get("branch", "").strip()[:200],
        api_url=form.get("api_url", "").strip()[:500],
        known_hosts=form.get("known_hosts", "").replace("\r\n", "\n")[:20_000],
        reports=form.get("reports") == "on",
        new_secret=form.get("new_secret") == "on",
    )


@page
@require_POST
def fetch(request: HttpRequest, name: str) -> HttpResponse:
    """Fetch now; what differs from what visitors get is deployed."""
    site = site_for(person(request), name, Role.DEVELOPER)
    with telling(request):
        operation = services.fetch(person(request), site)
        return redirect("operations:show", operation.id)
    return redirect("repositories:connection", name)


@page
@require_POST
def disconnect(request: HttpRequest, name: str) -> HttpResponse:
    """Forget the connection and its secrets."""
    site_for(person(request), name, Role.DEVELOPER)
    with telling(request):
        services.disconnect(person(request), services.site_to_connect(person(request), name))
        say(request, "The repository is disconnected.\nThe site and its code stay. Remove the web hook over there, too.")
    return redirect("repositories:connection", name)


@page
@require_POST
def redeliver(request: HttpRequest, name: str, delivery_id: str) -> HttpResponse:
    """Act upon a delivery once more."""
    user = person(request)
    site = site_for(user, name, Role.DEVELOPER)
    row = deliveries_for(user).filter(connection__site=site, id=delivery_id).distinct().first() if is_id(delivery_id) else None
    if row is None:
        raise NotFoundError("There is no such delivery.")
    with telling(request):
        deliveries.again(user, row)
        say(request, "It is acted upon once more, as a new line of the log.")
    return redirect("repositories:connection", name)
