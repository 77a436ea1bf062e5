"""What can be done with a site. Whatever lasts longer than a request becomes an operation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F

from sitewright.bus.messages import CommitSource, ImageSource, Source, UploadSource
from sitewright.domain.channel import PRODUCTION
from sitewright.domain.desired import Canary, Strategy
from sitewright.domain.events import EventKind, as_told
from sitewright.domain.images import check_registry, parse_reference, registries_of
from sitewright.domain.names import EnvName, SiteName
from sitewright.domain.operation import OperationKind
from sitewright.domain.states import Mode
from sitewright.errors import ConflictError, InvalidValueError, NotFoundError
from sitewright.manager.accounts.models import User
from sitewright.manager.audit.services import noted, trail
from sitewright.manager.domains.services import add_default_route
from sitewright.manager.keys import encrypt
from sitewright.manager.operations.models import Operation
from sitewright.manager.operations.services import Ask, known, submit
from sitewright.manager.releases.access import uploads_for
from sitewright.manager.releases.returning import can_try, trial_is_on
from sitewright.manager.sites import protection
from sitewright.manager.sites.models import Channel, Serial, Site
from sitewright.manager.teams.models import Team
from sitewright.manager.teams.services import check_room

COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
LONGEST_WHY = 200
LARGEST_VALUE = 64 * 1024
"""Characters of a variable's value; Linux passes at most 128 KiB a string."""


@dataclass(frozen=True, slots=True)
class NewSite:
    """What somebody asks for. ``name`` is not checked yet."""

    name: str
    team: Team
    source: Source
    mode: Mode = Mode.RELEASED


@dataclass(frozen=True, slots=True)
class NewValue:
    """A variable's value as it arrives."""

    value: str
    secret: bool = False


def _next_number() -> int:
    Serial.objects.get_or_create(name="site")
    Serial.objects.filter(name="site").update(last=F("last") + 1)
    return Serial.objects.get(name="site").last


def check_source(user: User, source: Source) -> dict[str, Any]:
    """The source as JSON for an operation. Raises NotFoundError for an upload that is not this person's, InvalidValueError."""
    if isinstance(source, UploadSource) and not uploads_for(user).filter(digest=source.digest).exists():
        raise NotFoundError("There is no such upload.", resolution="Upload the file first, then name its digest.")
    allowed = ("https://", "http://", "file://") if settings.PLATFORM.git_file_urls else ("https://", "http://")
    if source.kind == "git" and not source.url.startswith(allowed):
        raise InvalidValueError(
            "This git address cannot be used.",
            details="It begins with https:// or http://.",
            resolution="Use the repository's web address.",
        )
    if isinstance(source, ImageSource):
        _check_image(source)
    if isinstance(source, CommitSource) and not COMMIT.fullmatch(source.commit):
        raise InvalidValueError("This is no commit.", details="A commit is named by all of its 40 or 64 hexadecimal digits.")
    return source.model_dump(mode="json")


def _check_image(source: ImageSource) -> None:
    """Raises InvalidValueError for what is no image's name, or one that this platform cannot have."""
    reference = parse_reference(source.reference)
    if settings.PLATFORM.engine != "docker":
        raise InvalidValueError(
            "This platform runs sites in its own sandbox, which cannot run container images.",
            details="An image needs a platform that was started with SITEWRIGHT_ENGINE=docker.",
            resolution="Deploy the code instead, or ask whoever runs the platform.",
        )
    check_registry(reference, registries_of(settings.PLATFORM.image_registries))


def create_site(user: User, new: NewSite, key: str = "") -> tuple[Site, Operation]:
    """Reserve the name and begin the first deploy. Raises ConflictError when the name is taken, QuotaError."""
    before = known(user, key, OperationKind.CREATE)
    if before is not None and before.site is not None:
        return before.site, before
    name = SiteName(new.name)
    source = check_source(user, new.source)
    try:
        with transaction.atomic():
            site = _row(user, name, new.team, new.mode)
            operation = submit(Ask(OperationKind.CREATE, site, user, {"source": source}, key))
    except IntegrityError as error:
        raise name_taken(name) from error
    return site, operation


def reserve_site(user: User, name: str, team: Team, mode: Mode = Mode.RELEASED) -> Site:
    """A site without code: it waits for a first push or deploy. Raises ConflictError when the name is taken, QuotaError."""
    checked = SiteName(name)
    try:
        with transaction.atomic():
            site = _row(user, checked, team, mode)
            noted(site.id, EventKind.CREATED, f"The site “{checked}” was created; it waits for its code.", user)
    except IntegrityError as error:
        raise name_taken(checked) from error
    return site


def _row(user: User, name: SiteName, team: Team, mode: Mode) -> Site:
    """The site with its one channel. Raises IntegrityError when the name is taken, QuotaError."""
    Team.objects.select_for_update().get(pk=team.pk)
    check_room(team, sites=1)
    site = Site.objects.create(number=_next_number(), name=name, team=team, created_by=user)
    channel = Channel.objects.create(site=site, mode=mode.value, node=settings.PLATFORM.node, branch=site.default_branch)
    add_default_route(channel)
    trail(user, "site.created", site.id, site.name)
    return site


def name_taken(name: str) -> ConflictError:
    """Somebody, perhaps of another team, has a site of that name."""
    return ConflictError(f"The name “{name}” is taken.", resolution="Choose another name.")


def production(site: Site) -> Channel:
    """The channel that every site has."""
    return Channel.objects.select_related("site__team", "release", "canary_release", "frozen_by").get(site=site, name=PRODUCTION)


def check_name_free(name: SiteName) -> None:
    """Raise ConflictError when a site has that name. Only a forecast: the database decides when the site is made."""
    if Site.objects.filter(name=name).exists():
        raise name_taken(name)


@dataclass(frozen=True, slots=True)
class Way:
    """How a deploy takes over. ``percent`` of the requests go to it on trial (0: all, at once); ``strategy`` None is the channel's own;
    ``replace``: it may come in the place of a release on trial; ``why`` is told in the timeline."""

    percent: float = 0.0
    strategy: Strategy | None = None
    replace: bool = False
    why: str = ""


def way_params(way: Way) -> dict[str, Any]:
    if not 0 <= way.percent < 100:
        raise InvalidValueError(f"{way.percent:g} % of the requests cannot go on trial.", details="More than 0 and less than 100 can.")
    params: dict[str, Any] = {"canary_slots": Canary.slots_of(way.percent)} if way.percent else {}
    if way.strategy is not None:
        params["strategy"] = way.strategy.value
    if way.why:
        params["why"] = as_told(way.why.strip(), LONGEST_WHY)
    return {**params, "replace": True} if way.replace else params


def deploy(user: User, site: Site, source: Source, key: str = "", way: Way | None = None, channel: Channel | None = None) -> Operation:
    """Build *source* and switch the channel (production without one) to it, or put it on trial. Raises ConflictError while another release
    is on trial or the channel is frozen, ForbiddenError when it is protected."""
    before = known(user, key, OperationKind.DEPLOY, site, channel)
    if before is not None:
        return before
    way, channel = way or Way(), channel or production(site)
    protection.check(user, channel, OperationKind.DEPLOY)
    if channel.canary_release_id is not None and not way.replace:
        raise trial_is_on()
    if way.percent:
        can_try(channel)
    params = {"source": check_source(user, source), **way_params(way)}
    if isinstance(source, CommitSource) and source.branch not in {"", channel.branch}:
        raise InvalidValueError(f"“{channel.name}” does not follow the branch “{source.branch[:60]}”.", resolution="Name no branch.")
    trail(user, "site.deploy", site.id, site.name, channel=channel.name)
    return submit(Ask(OperationKind.DEPLOY, site, user, params, key, channel))


def act(user: User, site: Site, kind: OperationKind, key: str = "", channel: Channel | None = None) -> Operation:
    """Start, stop or restart a channel; production without one."""
    if kind not in {OperationKind.START, OperationKind.STOP, OperationKind.RESTART}:
        raise InvalidValueError(f"“{kind}” is none of start, stop, restart.")
    trail(user, f"site.{kind.value}", site.id, site.name, channel=channel.name if channel else PRODUCTION)
    return submit(Ask(kind, site, user, {}, key, channel))


def change_env(
    user: User, site: Site, values: Mapping[str, NewValue], unset: list[str], key: str = "", channel: Channel | None = None
) -> Operation:
    """Set and unset variables of a channel; production without one. Raises InvalidValueError for a name or value that cannot be one,
    ForbiddenError when the channel is protected."""
    channel = channel or production(site)
    protection.check(user, channel, OperationKind.ENV)
    sealed: dict[str, dict[str, Any]] = {}
    for name, new in values.items():
        EnvName(name)
        if len(new.value) > LARGEST_VALUE or "\0" in new.value:
            raise InvalidValueError(f"The value of {name} cannot be used.", details="It is text of at most 65536 characters.")
        sealed[name] = {"sealed": encrypt(settings.ENCRYPTION_KEYS, new.value), "secret": new.secret}
    if not sealed and not unset:
        raise InvalidValueError("Nothing was asked for.", resolution="Name at least one variable to set or to unset.")
    both = set(sealed) & set(unset)
    if both:
        raise InvalidValueError(f"{', '.join(sorted(both))} cannot be set and unset at once.")
    trail(user, "env.changed", site.id, site.name, names=sorted([*sealed, *unset]), channel=channel.name)
    return submit(Ask(OperationKind.ENV, site, user, {"set": sealed, "unset": unset}, key, channel))


def rename(user: User, site: Site, new: str, key: str = "") -> Operation:
    """Move it to another name and address. Raises ConflictError when the name is taken."""
    name = SiteName(new)
    if name == site.name:
        raise InvalidValueError(f"The site is called “{name}” already.")
    if Site.objects.filter(name=name).exists():
        raise name_taken(name)
    trail(user, "site.rename", site.id, site.name, to=str(name))
    return submit(Ask(OperationKind.RENAME, site, user, {"name": str(name)}, key))


def delete(user: User, site: Site, confirm: str, key: str = "") -> Operation:
    """Delete it with everything it has. Raises InvalidValueError unless *confirm* is its name."""
    if confirm != site.name:
        raise InvalidValueError(
            "The site was not deleted.", details="To confirm, its name must be given exactly.", resolution=f"Confirm with “{site.name}”."
        )
    trail(user, "site.delete", site.id, site.name)
    return submit(Ask(OperationKind.DELETE, site, user, {}, key))
