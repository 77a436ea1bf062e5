"""/sites/{name}/env: environment variables; secret values go in and never come out."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from ninja import Router, Status

from sitewright.domain.states import Role
from sitewright.manager.api.auth import idempotency_key, person
from sitewright.manager.keys import decrypt
from sitewright.manager.operations.schemas import Accepted, operation_out
from sitewright.manager.sites import services
from sitewright.manager.sites.access import variables_for
from sitewright.manager.sites.api.channel import CHANNEL, asked_channel
from sitewright.manager.sites.schemas import EnvList, EnvOut, EnvPatch
from sitewright.manager.sites.services import NewValue

router = Router(tags=["variables"])


@router.get("/{name}/env", response=EnvList, operation_id="listEnv")
def list_env(request: HttpRequest, name: str, channel: str = CHANNEL) -> EnvList:
    """All variables of a channel. A viewer sees names only."""
    user = person(request)
    row = asked_channel(request, name, channel)
    readable = variables_for(user, Role.DEVELOPER).filter(channel=row).values_list("pk", flat=True)
    shown = set(readable)
    rows = variables_for(user).filter(channel=row)
    items = [
        EnvOut(
            name=one.name,
            value=None if one.secret or one.pk not in shown else decrypt(settings.ENCRYPTION_KEYS, one.sealed),
            secret=one.secret,
        )
        for one in rows
    ]
    return EnvList(items=items, next=None)


@router.patch("/{name}/env", response={202: Accepted}, operation_id="changeEnv")
def change_env(request: HttpRequest, name: str, body: EnvPatch, channel: str = CHANNEL) -> Status[Accepted]:
    """Set and unset variables and roll them out; if the site does not come up with them, they are put back."""
    row = asked_channel(request, name, channel, Role.DEVELOPER)
    values = {key: NewValue(value=new.value, secret=new.secret) for key, new in body.set.items()}
    operation = services.change_env(person(request), row.site, values, body.unset, idempotency_key(request), row)
    return Status(202, Accepted(operation=operation_out(operation)))
