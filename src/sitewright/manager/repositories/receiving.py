"""What a web hook brings is checked and kept; it is acted upon afterwards (sitewright.manager.repositories.deliveries).

A stranger learns nothing here: an address that is none and a wrong signature get the same answer after the same work.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Mapping
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction

from sitewright.errors import ForbiddenError, SitewrightError
from sitewright.manager.keys import decrypt, encrypt
from sitewright.manager.operations.claims import moment
from sitewright.manager.repositories.models import Connection, Delivery, Vendor
from sitewright.manager.repositories.vendors import scheme
from sitewright.manager.runtime import runtime

LARGEST_BODY = 5 * 1024 * 1024
MOST_A_MINUTE = 60
KEPT_HEADERS = frozenset(
    {"content-type", "user-agent"}
    | {f"x-{vendor}-{name}" for vendor in ("github", "gitea", "forgejo", "gitlab") for name in ("event", "delivery", "event-type")}
    | {"x-github-hook-id", "x-gitlab-event-uuid", "x-gitlab-webhook-uuid", "idempotency-key"}
)
"""Everything else is forgotten, signatures and tokens first of all."""
UNSIGNED = "A web hook came whose signature is wrong: its secret over there is another one."
_HOOK_ID = re.compile(r"[A-Za-z0-9_-]{20,32}")
_NOBODY = Connection(vendor=Vendor.GITHUB.value)


class NoHookError(ForbiddenError):
    """There is no such web hook, or the signature is wrong."""

    code = "no_such_hook"


class TooManyDeliveriesError(SitewrightError):
    """This web hook brings too many events."""

    code = "too_many"
    permanent = False


def receive(hook_id: str, headers: Mapping[str, str], body: bytes) -> Delivery | None:
    """Keep a delivery; None when the same one was kept before. Raises NoHookError, TooManyDeliveriesError."""
    connection = _checked(hook_id, headers, body)
    how = scheme(connection.vendor)
    event = how.event(headers)
    digest = hashlib.sha256(event.encode() + b"\0" + body).hexdigest()
    now = moment(runtime().clock.now())
    if connection.deliveries.filter(received_at__gt=now - timedelta(minutes=1)).count() >= MOST_A_MINUTE:
        raise TooManyDeliveriesError(resolution="Wait a minute; what was missed is fetched later anyway.")
    try:
        with transaction.atomic():
            return Delivery.objects.create(
                connection=connection,
                delivery=how.delivery(headers) or digest,
                digest=digest,
                event=event,
                headers={name: value[:200] for name, value in headers.items() if name in KEPT_HEADERS and value.isprintable()},
                sealed_body=seal(body),
                received_at=now,
            )
    except IntegrityError:
        return None


def _checked(hook_id: str, headers: Mapping[str, str], body: bytes) -> Connection:
    found = Connection.objects.filter(hook_id=hook_id).first() if _HOOK_ID.fullmatch(hook_id) else None
    # Unknown addresses are checked against a secret that nobody has, so that they take as long.
    secret = decrypt(settings.ENCRYPTION_KEYS, found.sealed_hook_secret if found else _nobodys_secret())
    right = scheme((found or _NOBODY).vendor).verify(headers, body, secret, runtime().clock.now())
    if found is not None and not right and not found.problem:
        Connection.objects.filter(id=found.id, problem="").update(problem=UNSIGNED)
    if found is None or not right:
        raise NoHookError(resolution="Compare the web hook's address and secret over there with those of the site's settings.")
    return found


class _Decoy:
    sealed = ""


def _nobodys_secret() -> str:
    if not _Decoy.sealed:
        _Decoy.sealed = encrypt(settings.ENCRYPTION_KEYS, "nobody")
    return _Decoy.sealed


def seal(body: bytes) -> str:
    """A body as it is kept: packed and encrypted."""
    return encrypt(settings.ENCRYPTION_KEYS, base64.b64encode(zlib.compress(body, 1)).decode())


def unseal(sealed: str) -> bytes:
    """What ``seal`` was given."""
    return zlib.decompress(base64.b64decode(decrypt(settings.ENCRYPTION_KEYS, sealed)))
