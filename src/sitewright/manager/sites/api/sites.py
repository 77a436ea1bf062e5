"""/sites: list, create, show, rename, delete; deploy, start, stop, restart."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router, Status
from ninja.params.functions import Query

from sitewright.domain.operation import OperationKind
from sitewright.domain.states import Role
from sitewright.manager.accounts.models import User
from sitewright.manager.api.auth import idempotency_key, person
from sitewright.manager.api.paging import USUAL, page
from sitewright.manager.operations.schemas import Accepted, operation_out
from sitewright.manager.sites import services
from sitewright.manager.sites.access import for_user, site_for
from sitewright.manager.sites.api.channel import CHANNEL, asked_channel
from sitewright.manager.sites.present_api import site_list, site_out
from sitewright.manager.sites.schemas import DeployIn, SiteAccepted, SiteIn, SiteList, SiteOut, SitePatch
from sitewright.manager.sites.services import NewSite, Way
from sitewright.manager.teams.access import team_for
from sitewright.manager.teams.models import Team
from sitewright.manager.teams.services import ensure_personal_team

router = Router(tags=["sites"])


@router.get("", response=SiteList, operation_id="listSites")
def list_sites(request: HttpRequest, search: str = Query("", max_length=100), cursor: str = "", limit: int = USUAL) -> SiteList:
    """The sites of your teams whose name contains *search*, by name."""
    rows = for_user(person(request))
    if search:
        rows = rows.filter(name__contains=search.lower())
    found, following = page(rows, ("name",), cursor, limit)
    return SiteList(items=site_list(found), next=following)


@router.post("", response={202: SiteAccepted}, operation_id="createSite")
def create_site(request: HttpRequest, body: SiteIn) -> Status[SiteAccepted]:
    """Reserve the name and begin the first deploy; without a source, wait for a push."""
    user = person(request)
    team = _team(user, body.team)
    if body.source is None:
        site = services.reserve_site(user, body.name, team, body.mode)
        return Status(202, SiteAccepted(site=site_out(site), operation=None))
    new = NewSite(name=body.name, team=team, source=body.source, mode=body.mode)
    site, operation = services.create_site(user, new, idempotency_key(request))
    return Status(202, SiteAccepted(site=site_out(site), operation=operation_out(operation)))


@router.get("/{name}", response=SiteOut, operation_id="getSite")
def get_site(request: HttpRequest, name: str) -> SiteOut:
    """One site."""
    return site_out(site_for(person(request), name))


@router.patch("/{name}", response={202: Accepted}, operation_id="renameSite")
def rename_site(request: HttpRequest, name: str, body: SitePatch) -> Status[Accepted]:
    """Move it to another name and address."""
    site = site_for(person(request), name, Role.OWNER)
    operation = services.rename(person(request), site, body.name, idempotency_key(request))
    return Status(202, Accepted(operation=operation_out(operation)))


@router.delete("/{name}", response={202: Accepted}, operation_id="deleteSite")
def delete_site(request: HttpRequest, name: str, confirm: str = Query("", max_length=300)) -> Status[Accepted]:
    """Delete it with all its files; *confirm* is its name."""
    site = site_for(person(request), name, Role.OWNER)
    operation = services.delete(person(request), site, confirm, idempotency_key(request))
    return Status(202, Accepted(operation=operation_out(operation)))


@router.post("/{name}/deploys", response={202: Accepted}, operation_id="deploySite")
def deploy_site(request: HttpRequest, name: str, body: DeployIn, channel: str = CHANNEL) -> Status[Accepted]:
    """Build a source and switch to it, or put it on trial; if it does not come up, the release of before goes on."""
    row = asked_channel(request, name, channel, Role.DEVELOPER)
    way = Way(percent=body.canary_percent or 0.0, strategy=body.strategy, replace=body.replace)
    operation = services.deploy(person(request), row.site, body.source, idempotency_key(request), way, row)
    return Status(202, Accepted(operation=operation_out(operation)))


@router.post("/{name}/start", response={202: Accepted}, operation_id="startSite")
def start_site(request: HttpRequest, name: str, channel: str = CHANNEL) -> Status[Accepted]:
    """Let it run."""
    return _act(request, name, OperationKind.START, channel)


@router.post("/{name}/stop", response={202: Accepted}, operation_id="stopSite")
def stop_site(request: HttpRequest, name: str, channel: str = CHANNEL) -> Status[Accepted]:
    """Let nothing of it run; visitors are told that it is stopped."""
    return _act(request, name, OperationKind.STOP, channel)


@router.post("/{name}/restart", response={202: Accepted}, operation_id="restartSite")
def restart_site(request: HttpRequest, name: str, channel: str = CHANNEL) -> Status[Accepted]:
    """Start new instances, then end the old ones."""
    return _act(request, name, OperationKind.RESTART, channel)


def _act(request: HttpRequest, name: str, kind: OperationKind, channel: str) -> Status[Accepted]:
    row = asked_channel(request, name, channel, Role.DEVELOPER)
    operation = services.act(person(request), row.site, kind, idempotency_key(request), row)
    return Status(202, Accepted(operation=operation_out(operation)))


def _team(user: User, name: str) -> Team:
    """The named team, in which one must be a developer; one's own without a name."""
    if not name:
        return ensure_personal_team(user)
    return team_for(user, name, Role.DEVELOPER)
