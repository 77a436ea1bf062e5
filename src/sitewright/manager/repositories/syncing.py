"""Asking for a fetch. What has not begun yet is not asked for twice."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.db.models import F

from sitewright.domain.operation import OperationKind
from sitewright.domain.states import OperationState
from sitewright.manager.accounts.models import User
from sitewright.manager.operations.models import Operation
from sitewright.manager.operations.services import Ask, submit
from sitewright.manager.repositories.models import Connection


@dataclass(frozen=True, slots=True)
class Why:
    """What a fetch is for. ``pull``: the id of a PullRequest whose commit is fetched, instead of branches and tags."""

    text: str
    first: bool = False
    """Of a new connection: what production follows is found out."""
    again: bool = False
    """What is there is compared with what visitors get, not with what was seen before."""
    branch: str = ""
    hook: bool = False
    """The web hook is to be made over there, if the token allows."""
    pull: str = ""


def ask_sync(connection: Connection, why: Why, user: User | None = None) -> Operation:
    """The operation that fetches; one that is queued and does the same is used."""
    # One that never was fetched, because its key was not known there yet, is still new.
    first = not why.pull and (why.first or connection.fetched_at is None)
    with transaction.atomic():
        queued = _queued(connection, why, first=first)
        if queued is not None:
            return queued
        params = {"connection": connection.id, "why": why.text, "pull": why.pull, "branch": why.branch}
        flags = {"first": first, "again": why.again, "hook": why.hook}
        return submit(Ask(OperationKind.SYNC, connection.site, user, params | flags))


def _queued(connection: Connection, why: Why, *, first: bool) -> Operation | None:
    if why.again or why.hook or why.branch:
        return None
    rows = Operation.objects.filter(site=connection.site, kind=OperationKind.SYNC.value, state=OperationState.QUEUED.value, step=0)
    for row in rows.filter(params__pull=why.pull, params__connection=connection.id, params__first=first):
        # Touched under its lock: whoever claims it does so after this transaction, and fetches what has come until then.
        if Operation.objects.filter(id=row.id, state=OperationState.QUEUED.value).update(run_after=F("run_after")):
            return row
    return None
