"""Whether the parts work that the manager needs."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

from sitewright.manager.runtime import runtime
from sitewright.manager.sites.reports import heartbeat_age

OLDEST_HEARTBEAT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must work, and a word about it."""

    name: str
    ok: bool
    note: str = ""


def checks() -> list[Check]:
    """Database, bus, node; each in a moment."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        database = Check("database", ok=True)
    except DatabaseError as error:
        return [Check("database", ok=False, note=type(error).__name__)]
    bus = runtime().bus
    connected = bus is not None and bus.connected
    age = heartbeat_age(settings.PLATFORM.node)
    heard = age is not None and age <= OLDEST_HEARTBEAT_SECONDS
    note = "never heard of it" if age is None else f"last heard {age:.0f} s ago"
    return [database, Check("bus", ok=connected, note="" if connected else "not connected"), Check("node", ok=heard, note=note)]


def live(_request: HttpRequest) -> JsonResponse:
    """200 as long as this process answers at all."""
    return JsonResponse({"ok": True})


def ready(_request: HttpRequest) -> JsonResponse:
    """200 when database, bus and node answer, else 503. Says which, and nothing else, to strangers."""
    found = checks()
    ok = all(check.ok for check in found)
    body = {"ok": ok, "checks": {check.name: check.ok for check in found}}
    return JsonResponse(body, status=200 if ok else 503)
