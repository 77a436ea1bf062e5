"""What tests of the manager's channels ask again and again."""

from __future__ import annotations

from typing import Any

from sitewright.manager.operations.models import Operation
from sitewright.manager.sites.models import Channel
from sitewright.testing.stage import Stage

TEMPLATE = {"source": {"kind": "template", "name": "flask"}}


def row(name: str, site: str = "guestbook") -> Channel:
    """The channel as the database has it now."""
    return Channel.objects.select_related("release").get(site__name=site, name=name)


def done(stage: Stage, response: Any) -> Operation:
    """The operation of a 202 answer, once it is over."""
    assert response.status_code == 202, response.content
    stage.play()
    return Operation.objects.get(id=response.json()["operation"]["id"])
