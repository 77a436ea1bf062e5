"""Making teams and members, and what a team uses."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import Sum

from sitewright.domain.names import MAX_SITE_NAME_LENGTH, TeamName, suggested_site_name
from sitewright.domain.sleep import SleepStage
from sitewright.domain.states import Power, Role
from sitewright.domain.team import Quota, check_quota
from sitewright.errors import ConflictError
from sitewright.manager.accounts.models import User
from sitewright.manager.teams.models import Membership, Team


def create_team(name: str, owner: User, *, personal: bool = False) -> Team:
    """A team with one owner. Raises InvalidValueError for the name, ConflictError when it is taken."""
    checked = TeamName(name)
    try:
        with transaction.atomic():
            team = Team.objects.create(name=checked, personal_of=owner if personal else None)
            Membership.objects.create(team=team, user=owner, role=Role.OWNER.value)
    except IntegrityError as error:
        raise ConflictError(f"There is a team “{checked}” already.", resolution="Choose another name.") from error
    return team


def ensure_personal_team(user: User) -> Team:
    """The person's own team; made now, named after the address, if there is none."""
    team = Team.objects.filter(personal_of=user).first()
    if team is not None:
        return team
    base = suggested_site_name(user.email.partition("@")[0])[: MAX_SITE_NAME_LENGTH - 12].strip("-") or "my-team"
    for name in (base, f"{base}-{user.pk}"):
        if not Team.objects.filter(name=name).exists():
            return create_team(name, user, personal=True)
    return create_team(f"{base}-{user.pk}-own", user, personal=True)


def add_member(team: Team, user: User, role: Role) -> Membership:
    """Give *user* that role, whatever it was before."""
    membership, _ = Membership.objects.update_or_create(team=team, user=user, defaults={"role": role.value})
    return membership


def quota(team: Team) -> Quota:
    """What the team may have."""
    return Quota(sites=team.max_sites, disk_bytes=team.max_disk_bytes, memory_bytes=team.max_memory_bytes)


def usage(team: Team) -> Quota:
    """What the team has: sites, bytes of releases, bytes of memory that its sites may take; stopped and deeply sleeping ones take none."""
    from sitewright.manager.releases.models import Release  # noqa: PLC0415 - teams is below releases and sites
    from sitewright.manager.sites.models import Channel  # noqa: PLC0415

    disk = Release.objects.filter(channel__site__team=team, gone_at=None).aggregate(total=Sum("size_bytes"))["total"] or 0
    awake = Channel.objects.filter(site__team=team, power=Power.ON.value).exclude(sleep_stage=SleepStage.STOPPED.value)
    memory = awake.aggregate(total=Sum("wanted_memory_bytes"))["total"] or 0
    return Quota(sites=team.sites.count(), disk_bytes=disk, memory_bytes=memory)


def check_room(team: Team, *, sites: int = 0, disk_bytes: int = 0, memory_bytes: int = 0) -> None:
    """Raise QuotaError when the team has no room for that much more."""
    used = usage(team)
    asked = Quota(sites=used.sites + sites, disk_bytes=used.disk_bytes + disk_bytes, memory_bytes=used.memory_bytes + memory_bytes)
    check_quota(quota(team), asked)
