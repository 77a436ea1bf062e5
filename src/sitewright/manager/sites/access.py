"""The only way to get a site or what belongs to it. What is not theirs to see is not there (404); too weak a role is told so (403)."""

from __future__ import annotations

from django.db.models import QuerySet

from sitewright.domain.states import Role
from sitewright.errors import ForbiddenError, NotFoundError
from sitewright.manager.accounts.models import User
from sitewright.manager.sites.models import Channel, EnvVar, Instance, Node, Site
from sitewright.manager.teams.access import reach


def for_user(user: User, role: Role = Role.VIEWER) -> QuerySet[Site]:
    """The sites of the teams in which *user* has at least *role*."""
    return Site.objects.filter(reach(user, role, "team__")).select_related("team")


def site_for(user: User, name: str, role: Role = Role.VIEWER) -> Site:
    """The site of that name. Raises NotFoundError when the person may not see it, ForbiddenError when they may but not do this."""
    site = for_user(user, role).filter(name=name).first()
    if site is not None:
        return site
    if role is not Role.VIEWER and for_user(user).filter(name=name).exists():
        raise ForbiddenError(
            f"Your role in the team does not allow this for “{name}”.",
            details=f"It needs the role {role.value}.",
            resolution="Ask an owner of the team.",
        )
    raise NotFoundError(f"There is no site “{name[:63]}”, or it is not yours to see.", resolution="The list of sites shows what there is.")


def channels_for(user: User, role: Role = Role.VIEWER) -> QuerySet[Channel]:
    """The channels of those sites."""
    return Channel.objects.filter(reach(user, role, "site__team__")).select_related(
        "site__team", "release", "canary_release", "data_of", "frozen_by"
    )


def variables_for(user: User, role: Role = Role.VIEWER) -> QuerySet[EnvVar]:
    """The variables of those channels."""
    return EnvVar.objects.filter(reach(user, role, "channel__site__team__"))


def instances_for(user: User, role: Role = Role.VIEWER) -> QuerySet[Instance]:
    """The instances of those channels."""
    return Instance.objects.filter(reach(user, role, "channel__site__team__")).select_related("channel")


def nodes_for(user: User) -> QuerySet[Node]:
    """All nodes for administrators of the platform, none for others."""
    return Node.objects.order_by("name") if user.is_staff else Node.objects.none()


def channel_for(user: User, site_name: str, role: Role = Role.VIEWER, channel: str = "production") -> Channel:
    """That channel of the site of that name. Raises NotFoundError or ForbiddenError, like ``site_for``."""
    site = site_for(user, site_name, role)
    row = channels_for(user, role).filter(site=site, name=channel).first()
    if row is None:
        raise NotFoundError(f"The site “{site.name}” has no channel “{channel[:63]}”.")
    return row
