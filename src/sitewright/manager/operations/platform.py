"""The state of the platform's parts, for administrators."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import django
from django.conf import settings
from django.db import connection
from django.utils import timezone

from sitewright import __version__
from sitewright.manager.accounts.models import User
from sitewright.manager.runtime import runtime
from sitewright.manager.sites.access import nodes_for

LATE_AFTER = timedelta(seconds=20)
"""A node speaks every 5 s; four missed are worth a look."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part: what it is, how it is, which version."""

    title: str
    state: str
    version: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A node as it last spoke; memory in bytes."""

    name: str
    state: str
    engine: str
    memory_used: int
    memory_total: int
    builds_running: int
    seen_at: datetime


def parts() -> list[Part]:
    """Manager, database, bus."""
    bus = runtime().bus
    connected = bus is not None and bus.connected
    meanwhile = "" if connected else "Changes wait until it is back; sites keep running."
    return [
        Part("Manager", "ok", f"Sitewright {__version__}, Django {django.get_version()}", settings.PLATFORM.manager_host),
        Part("Database", "ok", connection.vendor),
        Part("Message bus", "ok" if connected else "failed", "NATS", meanwhile),
    ]


def node_rows(user: User) -> list[NodeRow]:
    """Every node; `late` when it has not spoken for a while."""
    oldest = timezone.now() - LATE_AFTER
    return [
        NodeRow(
            name=node.name,
            state="ok" if node.seen_at >= oldest else "late",
            engine=node.engine,
            memory_used=node.memory_used,
            memory_total=node.memory_total,
            builds_running=node.builds_running,
            seen_at=node.seen_at,
        )
        for node in nodes_for(user)
    ]
