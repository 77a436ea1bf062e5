"""Making a site, and deploying to one: a template, an archive, or a git address."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from sitewright.bus.messages import GitSource, Source, TemplateSource, UploadSource
from sitewright.domain.names import SiteName
from sitewright.domain.states import Mode, Role
from sitewright.errors import ForbiddenError, SitewrightError
from sitewright.manager.accounts.models import User
from sitewright.manager.pages.view import page, person, status_of
from sitewright.manager.releases.uploads import receive
from sitewright.manager.sites import services
from sitewright.manager.sites.forms import CreateForm, SourceForm
from sitewright.manager.sites.services import NewSite, Way
from sitewright.manager.sites.templates_offered import offered
from sitewright.manager.sites.views.channel import back
from sitewright.manager.sites.views.overview import frame
from sitewright.manager.teams.access import for_user as teams_for
from sitewright.manager.teams.models import Team

SHARES = {"6": 6.25, "12": 12.5, "25": 25.0, "50": 50.0}
"""What a form calls a share of the requests → per cent."""
MODES = {"template": Mode.LIVE, "upload": Mode.LIVE, "git": Mode.RELEASED}
"""A site made in the browser runs from its folder, to be edited there; one that comes from git is deployed to again."""


@page
@require_http_methods(["GET", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    """The form, and what becomes of it."""
    user = person(request)
    teams = _teams(user)
    if request.method == "GET":
        wanted = request.GET.get("from", "template")
        return _ask(request, CreateForm(teams=list(teams), initial={"source": wanted if wanted in (*MODES, "push") else "template"}))
    form = CreateForm(request.POST, request.FILES, teams=list(teams))
    if not form.is_valid():
        return _ask(request, form, status=400)
    team = teams[form.cleaned_data["team"] or next(iter(teams))]
    try:
        if form.cleaned_data["source"] == "push":
            site = services.reserve_site(user, form.cleaned_data["name"].strip(), team)
            return redirect("sites:code", site.name)
        source = source_of(user, form)
        new = NewSite(form.cleaned_data["name"].strip(), team, source, MODES[form.cleaned_data["source"]])
        site, _ = services.create_site(user, new)
    except SitewrightError as error:
        return _ask(request, form, error)
    return redirect("sites:show", site.name)


def _teams(user: User) -> dict[str, Team]:
    """The teams in which the person may make a site, their own first. Raises ForbiddenError when there is none."""
    teams = {team.name: team for team in teams_for(user, Role.DEVELOPER)}
    if not teams:
        raise ForbiddenError("You may look, but not make sites.", resolution="Ask an owner of your team for the role developer.")
    return dict(sorted(teams.items(), key=lambda item: (item[1].personal_of_id != user.pk, item[0])))


def _ask(request: HttpRequest, form: CreateForm, error: SitewrightError | None = None, status: int = 200) -> HttpResponse:
    context: dict[str, Any] = {"form": form, "templates": offered(), "domain": settings.PLATFORM.domain, "error": error, "section": "sites"}
    return render(request, "sites/create.html", context, status=status_of(error) if error else status)


@page
@require_GET
def check_name(request: HttpRequest) -> HttpResponse:
    """Whether the name may be used, while it is typed. That a name is taken is told to all: its address tells it anyway."""
    text = request.GET.get("name", "").strip()
    context: dict[str, str] = {}
    if text:
        try:
            services.check_name_free(SiteName(text))
            context["checked"] = text
        except SitewrightError as error:
            context["problem"] = " ".join(part for part in (error.message, error.details, error.resolution) if part)
    return render(request, "sites/name_check.html", context)


@page
@require_http_methods(["GET", "POST"])
def deploy(request: HttpRequest, name: str) -> HttpResponse:
    """A new release of a site."""
    site, context = frame(request, name, "deploy", Role.DEVELOPER)
    channel = context["channel"]
    form = SourceForm(request.POST, request.FILES) if request.method == "POST" else SourceForm(initial={"source": "upload"})
    error = None
    if form.is_bound and form.is_valid():
        try:
            source = source_of(person(request), form)
            way = Way(percent=SHARES.get(request.POST.get("share", ""), 0.0))
            services.deploy(person(request), site, source, way=way, channel=channel)
        except SitewrightError as raised:
            error = raised
        else:
            messages.success(request, "The new release is on its way.\nWhat runs now keeps running until it is ready.")
            return back("sites:show", channel)
    bad = form.is_bound and (error is not None or bool(form.errors))
    context |= {"form": form, "error": error, "shares": SHARES, "share": request.POST.get("share", "")}
    return render(request, "sites/deploy.html", context, status=400 if bad else 200)


def source_of(user: User, form: SourceForm) -> Source:
    """The source that a valid form names; an archive is kept first. Raises QuotaError, InvalidValueError."""
    data = form.cleaned_data
    match data["source"]:
        case "upload":
            archive = data["archive"]
            kept = receive(user, archive.read, archive.name or "archive")
            return UploadSource(digest=kept.digest, name=kept.name)
        case "git":
            return GitSource(url=data["git_url"].strip(), ref=data["git_ref"].strip())
    return TemplateSource(name=data["template"])
