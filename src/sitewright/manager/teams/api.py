"""/teams: which teams one is in, and what they may use."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router, Schema

from sitewright.domain.states import Role
from sitewright.domain.team import Quota
from sitewright.manager.api.auth import person
from sitewright.manager.teams.access import for_user, team_for
from sitewright.manager.teams.models import Membership, Team
from sitewright.manager.teams.plans import Book, give_plan, plan_named, weigh_builds
from sitewright.manager.teams.schemas import TeamPatch
from sitewright.manager.teams.services import quota, usage

router = Router(tags=["teams"])


class QuotaOut(Schema):
    """Sites, bytes on disk, bytes of memory."""

    sites: int
    disk_bytes: int
    memory_bytes: int


class TeamOut(Schema):
    """A team, one's role in it ("" for an administrator who is no member), what it may use and what it uses."""

    name: str
    role: str
    personal: bool
    plan: str
    build_weight: int
    quota: QuotaOut
    used: QuotaOut


class TeamList(Schema):
    """The teams that one can see."""

    items: list[TeamOut]
    next: str | None


@router.get("", response=TeamList, operation_id="listTeams")
def list_teams(request: HttpRequest) -> TeamList:
    """The teams that you are in; administrators see all."""
    user = person(request)
    roles = dict(Membership.objects.filter(user=user).values_list("team_id", "role"))
    teams = for_user(user).order_by("name")
    book = Book()
    return TeamList(items=[_team_out(team, roles.get(team.id, ""), user.pk, book) for team in teams], next=None)


@router.patch("/{name}", response=TeamOut, operation_id="changeTeam")
def change_team(request: HttpRequest, name: str, body: TeamPatch) -> TeamOut:
    """Choose another plan: an owner one that is open, an administrator any. The team's sites follow by themselves.
    Administrators can also give its builds more or less weight in the queue."""
    user = person(request)
    team = team_for(user, name, Role.OWNER)
    if body.build_weight is not None:
        weigh_builds(user, team, body.build_weight)
    if body.plan is not None:
        give_plan(user, team, plan_named(body.plan))
    role = Membership.objects.filter(user=user, team=team).values_list("role", flat=True).first()
    return _team_out(team, role or "", user.pk, Book())


def _team_out(team: Team, role: str, user_id: int, book: Book) -> TeamOut:
    return TeamOut(
        name=team.name,
        role=role,
        personal=team.personal_of_id == user_id,
        plan=book.plan(team).name,
        build_weight=team.build_weight,
        quota=_quota_out(quota(team)),
        used=_quota_out(usage(team)),
    )


def _quota_out(value: Quota) -> QuotaOut:
    return QuotaOut(sites=value.sites, disk_bytes=value.disk_bytes, memory_bytes=value.memory_bytes)
