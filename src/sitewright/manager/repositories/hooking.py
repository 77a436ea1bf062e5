"""Making the web hook over there, where the token allows it."""

from __future__ import annotations

import logging

from django.conf import settings

from sitewright.errors import SitewrightError
from sitewright.manager.keys import decrypt
from sitewright.manager.repositories.models import Connection
from sitewright.manager.repositories.places import hook_address, there
from sitewright.manager.repositories.vendors import scheme
from sitewright.system.outgoing import send

log = logging.getLogger(__name__)

BY_HAND = "Add the web hook over there by hand; until then the repository is looked at now and then."


def make(connection: Connection) -> str:
    """Make it; a sentence about what became of that. Never raises: it can be made by hand as well."""
    where, how = there(connection), scheme(connection.vendor)
    if where is None or not how.reports:
        return BY_HAND
    secret = decrypt(settings.ENCRYPTION_KEYS, connection.sealed_hook_secret)
    try:
        answer = send(how.hook(where, hook_address(connection), secret), settings.PLATFORM.extra_egress)
    except SitewrightError as error:
        log.info("hook.not_made", extra={"connection": connection.id, "code": error.code})
        return f"The web hook was not made: {error.message} {BY_HAND}"
    if answer.status not in {200, 201}:
        log.info("hook.not_made", extra={"connection": connection.id, "status": answer.status})
        return f"The web hook was not made: the answer was {answer.status}. {BY_HAND}"
    Connection.objects.filter(id=connection.id).update(hook_made=True)
    return "The web hook is made."
