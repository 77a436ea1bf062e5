"""Connecting a site with a repository, changing that, ending it. Fetching is an operation (SYNC)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction

from sitewright.domain.channel import ChannelKind, Previews
from sitewright.domain.events import EventKind, as_told
from sitewright.domain.states import Role
from sitewright.errors import InvalidValueError, NotFoundError
from sitewright.manager.accounts.models import User
from sitewright.manager.audit.services import noted, trail
from sitewright.manager.keys import encrypt
from sitewright.manager.operations.models import Operation
from sitewright.manager.repositories import previews
from sitewright.manager.repositories.address import RepositoryAddress, parse, parse_api
from sitewright.manager.repositories.deploy_keys import make_key
from sitewright.manager.repositories.fetching import look_again
from sitewright.manager.repositories.models import Connection, Vendor
from sitewright.manager.repositories.syncing import Why, ask_sync
from sitewright.manager.repositories.vendors import reading
from sitewright.manager.sites.access import site_for
from sitewright.manager.sites.models import Channel, Site
from sitewright.manager.sites.protection import check_role

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asks for; nothing of it is checked yet."""

    url: str
    vendor: Vendor | None = None
    token: str = ""
    branch: str = ""
    api_url: str = ""
    known_hosts: str = ""
    reports: bool = True
    new_secret: bool = False


@dataclass(frozen=True, slots=True)
class Connected:
    """What was made. ``secret`` is the web hook's, "" when it was not made now: it is shown this once."""

    connection: Connection
    operation: Operation
    secret: str = ""


def connect(user: User, site: Site, wanted: Wanted) -> Connected:
    """Connect *site*, or change its connection, and fetch. Raises InvalidValueError."""
    address = parse(wanted.url)
    branch = _branch(wanted.branch)
    with transaction.atomic():
        before = Connection.objects.select_for_update().filter(site=site).first()
        fresh = before is None or before.url != address.url
        connection = Connection(site=site) if before is None else before
        secret = _describe(connection, address, wanted, fresh=fresh)
        connection.save()
        if fresh:
            connection.status_reports.all().delete()
            previews.leave(site, user)
        look_again(connection)
        if branch:
            _follow(site, branch)
        trail(user, "repository.connected", site.id, site.name, url=address.url, vendor=connection.vendor)
        if fresh:
            noted(site.id, EventKind.CONNECTED, f"The site takes its code from {as_told(address.url, 200)}.", user)
        why = Why(f"{user.email} connected it", first=fresh, branch=branch, hook=bool(secret))
        operation = ask_sync(connection, why, user)
    return Connected(connection, operation, secret)


def _describe(connection: Connection, address: RepositoryAddress, wanted: Wanted, *, fresh: bool) -> str:
    """Write what is wanted into the row; the web hook's secret if it is a new one."""
    vendor = wanted.vendor or (address.guess if fresh else Vendor(connection.vendor))
    connection.vendor, connection.url, connection.project = vendor.value, address.url, address.project[:300]
    api_url = _api(wanted.api_url) or address.api_url(vendor)
    if fresh or api_url != connection.api_url:
        # Another server must never get what was meant for the one before.
        connection.sealed_token = ""
    connection.api_url = api_url
    connection.known_hosts, connection.reports = _hosts(wanted.known_hosts), wanted.reports
    if fresh:
        connection.sealed_deploy_key = connection.deploy_key = ""
        connection.refs, connection.fetched_at, connection.problem = {}, None, ""
    if wanted.token:
        connection.sealed_token = encrypt(settings.ENCRYPTION_KEYS, _token(wanted.token))
    if address.scheme == "ssh" and not connection.sealed_deploy_key:
        private, connection.deploy_key = make_key(f"sitewright-{connection.site.name}")
        connection.sealed_deploy_key = encrypt(settings.ENCRYPTION_KEYS, private)
    if not fresh and not wanted.new_secret:
        return ""
    secret = secrets.token_urlsafe(SECRET_BYTES)
    connection.hook_id, connection.hook_made = secrets.token_urlsafe(24), False
    connection.sealed_hook_secret = encrypt(settings.ENCRYPTION_KEYS, secret)
    return secret


def _follow(site: Site, branch: str) -> None:
    """Production follows it from now on. Raises InvalidValueError when another channel does."""
    other = Channel.objects.filter(site=site, branch=branch).exclude(name="production").first()
    if other is not None:
        raise InvalidValueError(f"The channel “{other.name}” follows “{as_told(branch)}” already.", resolution="Let it follow another.")
    Site.objects.filter(id=site.id).update(default_branch=branch)
    Channel.objects.filter(site=site, name="production").update(branch=branch)


def disconnect(user: User, site: Site) -> None:
    """Forget the connection, its secrets and its deliveries; the site, its code and its previews stay. Raises NotFoundError."""
    connection = connection_of(site)
    with transaction.atomic():
        connection.delete()
        trail(user, "repository.disconnected", site.id, site.name, url=connection.url)
        noted(site.id, EventKind.DISCONNECTED, f"The site does not take its code from {as_told(connection.url, 200)} any more.", user)


def fetch(user: User, site: Site) -> Operation:
    """Fetch now, and deploy what differs from what visitors get. Raises NotFoundError."""
    connection = connection_of(site)
    trail(user, "repository.fetch", site.id, site.name)
    return ask_sync(connection, Why(f"{user.email} asked for it", again=True), user)


def settle_previews(user: User, site: Site, makes: Previews, days: int) -> None:
    """Of what previews are made from now on, and after how many days without news they go."""
    Site.objects.filter(id=site.id).update(previews=makes.value, preview_days=days)
    trail(user, "previews.set", site.id, site.name, previews=makes.value, preview_days=days)


def connection_of(site: Site) -> Connection:
    """The site's. Raises NotFoundError."""
    found = Connection.objects.filter(site=site).select_related("site__team").first()
    if found is None:
        raise NotFoundError(f"“{site.name}” is not connected with a repository.", resolution="Connect it: `sitewright connect NAME URL`.")
    return found


def site_to_connect(user: User, name: str) -> Site:
    """The site, for whoever may say where its code comes from: that needs the role of its most protected channel. Raises NotFoundError,
    ForbiddenError."""
    site = site_for(user, name, Role.DEVELOPER)
    # Production may be made to follow what is found over there, also when it follows nothing yet.
    for channel in Channel.objects.filter(site=site, protected=True).exclude(branch="", kind=ChannelKind.NAMED.value):
        check_role(user, channel)
    return site


def _branch(text: str) -> str:
    if text and not reading.branch(text):
        raise InvalidValueError(f"“{as_told(text)}” is not the name of a branch.", resolution="Give it without refs/heads/.")
    return text


def _token(text: str) -> str:
    if not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidValueError("This is no access token.", details="It is one word of plain characters.")
    return text


def _api(text: str) -> str:
    return parse_api(text) if text else ""


def _hosts(text: str) -> str:
    if not all(letter.isprintable() or letter == "\n" for letter in text):
        raise InvalidValueError("These are not lines of a known_hosts file.", resolution="`ssh-keyscan HOST` prints them.")
    return text
